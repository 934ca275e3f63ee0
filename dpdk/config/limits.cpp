// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "dpdk/config/sections.hpp"
#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

namespace {

using nat::Quota;

constexpr std::int64_t most = 1 << 27;  // as `flows`

struct QuotaKey {
    std::string_view key;
    Quota quota;
};
constexpr std::array quota_keys{
    QuotaKey{"flows_per_subscriber", Quota::flows},
    QuotaKey{"tcp_ports_per_subscriber", Quota::tcp_ports},
    QuotaKey{"udp_ports_per_subscriber", Quota::udp_ports},
    QuotaKey{"icmp_ids_per_subscriber", Quota::icmp_ids},
    QuotaKey{"half_open_per_source", Quota::half_open},
};

/// `subscribers` without a limit that would apply to them has no effect.
void check_use(const Section& section, const nat::LimitsConfig<V4>& limits) {
    const bool of_subscribers =
        limits.most_of(Quota::flows) != 0 || limits.most_of(Quota::tcp_ports) != 0 ||
        limits.most_of(Quota::udp_ports) != 0 || limits.most_of(Quota::icmp_ids) != 0;
    if (section.has("subscribers") && !of_subscribers) {
        section.fault("subscribers", "has no effect without a limit",
                      "`flows_per_subscriber` or `ports_per_subscriber`");
    }
    if (section.has("sources") && !limits.of_sources()) {
        section.fault("sources", "has no effect without a limit",
                      "a limit per subscriber, or `half_open_per_source`, in the same section");
    }
}

}  // namespace

void read_limits(const Section& top, Config& config) {
    const auto section = top.table("limits");
    if (!section) return;
    std::vector<std::string_view> known{"subscribers",
                                        "ports_per_subscriber",
                                        "half_open_per_service",
                                        "half_open_percent",
                                        "sources",
                                        "early_drop"};
    for (const QuotaKey& quota : quota_keys)
        known.push_back(quota.key);
    section->allow_only(known);

    nat::LimitsConfig<V4>& limits = config.limits;
    limits.subscribers = read_prefixes(*section, "subscribers");
    if (const auto ports = section->integer("ports_per_subscriber", 0, most)) {
        for (const Quota quota : {Quota::tcp_ports, Quota::udp_ports, Quota::icmp_ids})
            limits.most[static_cast<std::size_t>(quota)] = static_cast<std::uint32_t>(*ports);
    }
    for (const QuotaKey& quota : quota_keys)
        section->read(quota.key, limits.most[static_cast<std::size_t>(quota.quota)], 0, most);
    section->read("half_open_per_service", limits.half_open_per_service, 0, most);
    section->read("half_open_percent", config.policy.half_open_percent, 0, 100);
    section->read("sources", limits.sources, 16, 1 << 24);
    config.policy.early_drop = section->boolean("early_drop").value_or(false);
    if (!section->is_faulty()) check_use(*section, limits);
}

}  // namespace noclash::dpdk
