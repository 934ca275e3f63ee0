// SPDX-License-Identifier: Apache-2.0

// RSS as a device reports it, read from DPDK's null devices, which have a key and a table and
// use neither; and that a tuple's worker is the one that DPDK's software RSS names.

#include "dpdk/datapath/rss.hpp"

#include <gtest/gtest.h>
#include <rte_ethdev.h>
#include <rte_thash.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dpdk/datapath/gateway.hpp"
#include "dpdk/device/eal.hpp"
#include "dpdk/device/packet_pool.hpp"

namespace noclash::dpdk::rss_test {
namespace {

constexpr std::uint16_t workers = 4;

/// On devices of its own each time: DPDK keeps the names of closed ones.
Config config(bool reply_locality) {
    static unsigned number = 0;
    const std::string name = "rss" + std::to_string(number++);
    Config made;
    made.workers = workers;
    made.reply_locality = reply_locality;
    made.flows = 1024;
    made.memory.huge_pages = HugePages::none;
    made.ports = {{"spreads", "null:" + name, {}, 24, 1500, 64},
                  {"alone", "ring:" + name, {}, 24, 1500, 64}};
    return made;
}

std::uint32_t soft_rss(const Tuple<V4>& tuple, const std::vector<std::uint8_t>& key) {
    std::uint32_t words[] = {
        tuple.source.value.host(), tuple.destination.value.host(),
        std::uint32_t{tuple.source_port.host()} << 16U | tuple.destination_port.host()};
    return rte_softrss(words, 3, key.data());
}

class RssOf : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        static const Eal eal(config(true));
        static const PacketPool pool(eal.memory(), eal.pages());
        buffers_ = pool.get();
    }
    void TearDown() override { gateway_.reset(); }

    /// A gateway on both devices, which have started.
    void begin(bool reply_locality) {
        const Config with = config(reply_locality);
        std::vector<std::unique_ptr<Port>> ports;
        for (std::size_t i = 0; i < with.ports.size(); ++i) {
            ports.push_back(std::make_unique<Port>(with, i, buffers_));
            ports.back()->start();
        }
        gateway_ = std::make_unique<Gateway>(with, std::move(ports), buffers_, 1);
    }
    [[nodiscard]] std::uint16_t spreads() const { return gateway_->ports[0]->id(); }
    [[nodiscard]] std::uint16_t alone() const { return gateway_->ports[1]->id(); }

    /// Lets the null device name `queues` in turn, from the second on.
    void tell_queues(std::uint16_t queues) const {
        rte_eth_dev_info info{};
        ASSERT_EQ(rte_eth_dev_info_get(spreads(), &info), 0);
        ASSERT_GT(info.reta_size, 0);
        std::vector<rte_eth_rss_reta_entry64> groups(info.reta_size / RTE_ETH_RETA_GROUP_SIZE);
        for (std::size_t i = 0; i < info.reta_size; ++i) {
            auto& group = groups[i / RTE_ETH_RETA_GROUP_SIZE];
            group.mask = ~std::uint64_t{0};
            group.reta[i % RTE_ETH_RETA_GROUP_SIZE] = static_cast<std::uint16_t>((i + 1) % queues);
        }
        ASSERT_EQ(rte_eth_dev_rss_reta_update(spreads(), groups.data(), info.reta_size), 0);
    }
    void tell_fields(std::uint64_t fields) const {
        rte_eth_rss_conf hash{};
        hash.rss_hf = fields;
        ASSERT_EQ(rte_eth_dev_rss_hash_update(spreads(), &hash), 0);
    }

    static inline rte_mempool* buffers_ = nullptr;
    std::unique_ptr<Gateway> gateway_;
};

TEST_F(RssOf, ADeviceThatTellsIsTakenAtItsWord) {
    begin(true);
    tell_queues(workers);
    tell_fields(RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_IP);
    const auto said = read_rss(spreads());
    ASSERT_TRUE(std::holds_alternative<Rss>(said)) << std::get<std::string>(said);
    const Rss& rss = std::get<Rss>(said);
    ASSERT_GE(rss.key.size(), 40U);
    for (std::size_t i = 0; i < rss.queues.size(); ++i)
        ASSERT_EQ(rss.queues[i], (i + 1) % workers);

    learn_steering(*gateway_);
    ASSERT_EQ(gateway_->steering.size(), 2U);
    const nat::RssModel<V4>& steering = gateway_->steering[0];
    EXPECT_TRUE(steering.covers(nat::ip_protocol::tcp));
    EXPECT_TRUE(steering.covers(nat::ip_protocol::udp));
    std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same test each time
    for (int i = 0; i < 10'000; ++i) {
        const auto any = [&] { return static_cast<std::uint32_t>(random()); };
        const Tuple<V4> tuple{V4Address::from_host(any()),
                              V4Address::from_host(any()),
                              Be16::from_host(static_cast<std::uint16_t>(any())),
                              Be16::from_host(static_cast<std::uint16_t>(any())),
                              0,
                              6,
                              0};
        ASSERT_EQ(steering.worker(tuple), rss.queues[soft_rss(tuple, rss.key) % rss.queues.size()]);
    }
}

TEST_F(RssOf, ADeviceThatDoesNotTellIsNotKnown) {
    begin(true);
    EXPECT_TRUE(std::holds_alternative<std::string>(read_rss(alone())));
    learn_steering(*gateway_);
    EXPECT_FALSE(gateway_->steering[1].covers(nat::ip_protocol::tcp));
}

TEST_F(RssOf, WhatIsNotHashedByItsPortsIsNotKnown) {
    begin(true);
    tell_fields(RTE_ETH_RSS_NONFRAG_IPV4_TCP);
    const auto said = read_rss(spreads());
    ASSERT_TRUE(std::holds_alternative<Rss>(said)) << std::get<std::string>(said);
    EXPECT_TRUE(steering_by(std::get<Rss>(said)).covers(nat::ip_protocol::tcp));
    EXPECT_FALSE(steering_by(std::get<Rss>(said)).covers(nat::ip_protocol::udp));
    for (const std::uint64_t fields :
         {std::uint64_t{RTE_ETH_RSS_IPV4},
          std::uint64_t{RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_L4_SRC_ONLY}}) {
        EXPECT_FALSE(steering_by({std::vector<std::uint8_t>(40, 1), {0, 1}, fields})
                         .covers(nat::ip_protocol::tcp));
    }
    tell_fields(RTE_ETH_RSS_IPV4);
    EXPECT_TRUE(std::holds_alternative<std::string>(read_rss(spreads())));
}

TEST_F(RssOf, NothingIsLearnedUnlessWanted) {
    begin(false);
    tell_queues(workers);
    tell_fields(RTE_ETH_RSS_TCP);
    learn_steering(*gateway_);
    EXPECT_TRUE(gateway_->steering.empty());
    EXPECT_TRUE(gateway_->ports[0]->rss_key().empty());
}

}  // namespace
}  // namespace noclash::dpdk::rss_test
