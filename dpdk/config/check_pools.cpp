// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "dpdk/config/checks.hpp"

namespace noclash::dpdk {

namespace {

using Pool = nat::Pool<V4>;

/// Two pools may share an address as long as they give out different ports. The same ports in both
/// are shared by the hosts of both, and neither has as many as it looks like.
void check_overlap(const Whole& whole) {
    const std::vector<Pool>& pools = whole.config.policy.pools;
    std::unordered_multimap<std::uint32_t, std::size_t> holders;
    for (std::size_t i = 0; i < pools.size(); ++i) {
        std::optional<std::size_t> told;
        for (const V4Address& address : pools[i].addresses) {
            const auto [begin, end] = holders.equal_range(address.value.host());
            for (auto other = begin; other != end && !told; ++other) {
                if (!pools[i].ports.overlaps(pools[other->second].ports)) continue;
                told = other->second;
                if (whole.pools[i].is_faulty()) break;
                whole.pools[i].warn("addresses",
                                    fmt::format("pool {:?} (line {}) has {} too, and gives out the "
                                                "same ports",
                                                pools[*told].name, whole.pools[*told].line(),
                                                to_string<V4>(address)),
                                    "use other addresses, or `ports` that do not overlap");
            }
            holders.emplace(address.value.host(), i);
        }
    }
}

}  // namespace

void check_pools(const Whole& whole) {
    check_overlap(whole);
    const auto& rules = whole.config.policy.rules;
    const auto& services = whole.config.policy.services;
    if (std::ranges::any_of(whole.rules, &Section::is_faulty) ||
        std::ranges::any_of(whole.services, &Section::is_faulty))
        return;
    for (std::size_t i = 0; i < whole.pools.size(); ++i) {
        const auto uses = [i](const auto& user) {
            return user.source_nat == nat::SourceNat::pool && user.pool == i;
        };
        const bool used = std::ranges::any_of(rules, uses) || std::ranges::any_of(services, uses);
        if (!used && !whole.pools[i].is_faulty())
            whole.pools[i].warn("name", "no rule and no service uses this pool",
                                "name it in a rule, as `action = \"snat\"` with `pool`");
    }
}

}  // namespace noclash::dpdk
