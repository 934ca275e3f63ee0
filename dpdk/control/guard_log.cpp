// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/guard_log.hpp"

#include <fmt/format.h>

#include <iterator>

namespace noclash::dpdk {

std::vector<std::string> GuardLog::look(const Snapshot& policy,
                                        const nat::SynProxyShared<V4, Production>& proxy,
                                        std::uint64_t now_ms) {
    std::vector<std::string> lines;
    if (guarded_.empty() && !policy.service_rules.any_automatic()) return lines;
    for (const nat::Rule<V4>& rule : policy.service_rules.rules()) {
        const bool may_be = rule.syn_proxy == nat::SynProxyMode::automatic;
        if (may_be && proxy.is_guarded(rule.id, now_ms) &&
            guarded_.emplace(rule.id, rule.name).second)
            lines.push_back(fmt::format(
                "service {}: very many connections are half open: the SYN proxy is on", rule.name));
    }
    for (auto service = guarded_.begin(); service != guarded_.end();) {
        const nat::Rule<V4>* const rule = policy.find_rule(service->first);
        if (rule != nullptr && proxy.is_guarded(service->first, now_ms)) {
            ++service;
            continue;
        }
        lines.push_back(fmt::format("service {}: the SYN proxy is off again", service->second));
        service = guarded_.erase(service);
    }
    return lines;
}

}  // namespace noclash::dpdk
