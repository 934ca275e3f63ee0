// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/rss.hpp"

#include <fmt/format.h>
#include <rte_ethdev.h>
#include <rte_thash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "dpdk/datapath/gateway.hpp"
#include "dpdk/device/log.hpp"

namespace noclash::dpdk {

namespace {

/// A key need not be longer for any input; devices whose key is longer are asked for all of it.
constexpr std::size_t usual_key_bytes = 40;

constexpr std::uint64_t one_end_only = RTE_ETH_RSS_L3_SRC_ONLY | RTE_ETH_RSS_L3_DST_ONLY |
                                       RTE_ETH_RSS_L4_SRC_ONLY | RTE_ETH_RSS_L4_DST_ONLY;

using Input = nat::RssModel<V4>::Input;
using Protocols = nat::RssModel<V4>::Protocols;

/// Protocols whose addresses and ports are hashed, both ends'.
Protocols hashed_with_ports(std::uint64_t fields) {
    if ((fields & one_end_only) != 0) return {};
    return {.tcp = (fields & RTE_ETH_RSS_NONFRAG_IPV4_TCP) != 0,
            .udp = (fields & RTE_ETH_RSS_NONFRAG_IPV4_UDP) != 0};
}

/// Toeplitz, as DPDK computes it.
class SoftRss {
  public:
    explicit SoftRss(const std::vector<std::uint8_t>& key)
        : key_((std::max(key.size(), words * 4 + 4) + 3) / 4) {
        std::memcpy(key_.data(), key.data(), key.size());
    }

    [[nodiscard]] std::uint32_t operator()(const Input& input) const {
        std::array<std::uint32_t, words> host{};
        std::memcpy(host.data(), input.data(), input.size());
        std::ranges::transform(host, host.begin(),
                               [](auto word) { return rte_be_to_cpu_32(word); });
        return rte_softrss(host.data(), words, reinterpret_cast<const std::uint8_t*>(key_.data()));
    }

  private:
    static constexpr std::size_t words = std::tuple_size_v<Input> / 4;

    std::vector<std::uint32_t> key_;  ///< aligned, as `rte_softrss` wants it
};

/// The indirection table; empty when the device does not say.
std::vector<std::uint16_t> read_queues(std::uint16_t port_id, std::uint16_t size) {
    std::vector<rte_eth_rss_reta_entry64> groups((size + RTE_ETH_RETA_GROUP_SIZE - 1U) /
                                                 RTE_ETH_RETA_GROUP_SIZE);
    for (auto& group : groups)
        group.mask = ~std::uint64_t{0};
    if (size == 0 || ::rte_eth_dev_rss_reta_query(port_id, groups.data(), size) != 0) return {};
    std::vector<std::uint16_t> queues;
    for (std::size_t i = 0; i < size; ++i)
        queues.push_back(groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE]);
    return queues;
}

}  // namespace

std::variant<Rss, std::string> read_rss(std::uint16_t port_id) {
    rte_eth_dev_info info{};
    if (::rte_eth_dev_info_get(port_id, &info) != 0) return "the device says nothing of itself";
    Rss rss;
    rss.key.resize(info.hash_key_size == 0 ? usual_key_bytes : info.hash_key_size);
    rte_eth_rss_conf hash{};
    hash.rss_key = rss.key.data();
    hash.rss_key_len = static_cast<std::uint8_t>(rss.key.size());
    if (::rte_eth_dev_rss_hash_conf_get(port_id, &hash) != 0 ||
        std::ranges::all_of(rss.key, [](std::uint8_t byte) { return byte == 0; }))
        return "the device does not tell its RSS key";
    rss.fields = hash.rss_hf;
    const Protocols protocols = hashed_with_ports(rss.fields);
    if (!protocols.tcp && !protocols.udp)
        return "the device does not spread TCP and UDP by their ports";
    rss.queues = read_queues(port_id, info.reta_size);
    if (!std::has_single_bit(rss.queues.size()))
        return "the device does not tell its RSS indirection table";
    return rss;
}

nat::RssModel<V4> steering_by(const Rss& rss) {
    return {SoftRss(rss.key), rss.queues, hashed_with_ports(rss.fields)};
}

void learn_steering(Gateway& gateway) {
    for (std::size_t i = 0; i < gateway.steering.size(); ++i) {
        const Port& port = *gateway.ports[i];
        const auto said = read_rss(port.id());
        if (const auto* unknown = std::get_if<std::string>(&said)) {
            spdlog::warn("port {}: {}: `reply_locality` does nothing for flows that leave by it",
                         port.config().name, *unknown);
            continue;
        }
        const auto& rss = std::get<Rss>(said);
        if (rss.key != port.rss_key())
            spdlog::warn("port {}: the device keeps an RSS key of its own, which others may know",
                         port.config().name);
        gateway.steering[i] = steering_by(rss);
    }
}

}  // namespace noclash::dpdk
