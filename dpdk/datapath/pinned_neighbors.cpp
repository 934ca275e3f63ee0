// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/pinned_neighbors.hpp"

#include <unordered_set>

namespace noclash::dpdk {
namespace {

class Collector {
  public:
    explicit Collector(const Config& config) : config_(config) {}

    void add(std::uint16_t port, V4Address address, std::optional<nat::MacAddress> mac = {}) {
        // Subnets do not overlap: an address is on one port.
        if (address != config_.ports[port].address && seen_.insert(address.value.wire()).second)
            result_.push_back({port, address, mac});
    }
    void add_where_connected(V4Address address) {
        for (std::size_t port = 0; port < config_.ports.size(); ++port) {
            const PortConfig& own = config_.ports[port];
            if (Prefix<V4>{own.address, own.prefix_length}.contains(address))
                add(static_cast<std::uint16_t>(port), address);
        }
    }
    [[nodiscard]] std::vector<PinnedNeighbor> take() { return std::move(result_); }

  private:
    const Config& config_;
    std::unordered_set<std::uint32_t> seen_;
    std::vector<PinnedNeighbor> result_;
};

}  // namespace

std::vector<PinnedNeighbor> pinned_neighbors(const Config& config) {
    Collector collector(config);
    for (const StaticNeighbor& neighbor : config.static_neighbors)
        collector.add(neighbor.port, neighbor.address, neighbor.mac);
    for (const RouteConfig& route : config.routes)
        collector.add(route.port, route.via);
    for (const auto& rule : config.policy.rules) {
        if (rule.mapping) collector.add_where_connected(rule.mapping->inside.address);
        for (const auto& target : rule.targets)
            collector.add_where_connected(target.address);
    }
    for (const auto& service : config.policy.services)
        for (const auto& backend : service.backends)
            collector.add_where_connected(backend.address);
    return collector.take();
}

}  // namespace noclash::dpdk
