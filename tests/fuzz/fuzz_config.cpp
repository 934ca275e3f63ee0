// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dpdk/config/config.hpp"

/// Any text is either a configuration or a ConfigError with at least one fault.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    try {
        const auto config = noclash::dpdk::parse_config(text, "fuzz.toml");
        if (config.ports.empty() || config.workers == 0) __builtin_trap();
        for (const auto& route : config.routes) {
            if (route.port >= config.ports.size()) __builtin_trap();
        }
        for (const auto& rule : config.policy.rules) {
            const bool pool = rule.source_nat == noclash::nat::SourceNat::pool;
            if (pool && rule.pool >= config.policy.pools.size()) __builtin_trap();
            const bool dnat = rule.action == noclash::nat::Action::dnat;
            if (dnat == rule.targets.empty()) __builtin_trap();
        }
        for (const auto& service : config.policy.services) {
            const bool pool = service.source_nat == noclash::nat::SourceNat::pool;
            if (pool && service.pool >= config.policy.pools.size()) __builtin_trap();
            if (service.ingress_port && *service.ingress_port >= config.ports.size())
                __builtin_trap();
            if (service.ports.empty() || service.protocol == 0) __builtin_trap();
        }
    } catch (const noclash::dpdk::ConfigError& error) {
        if (error.faults().empty()) __builtin_trap();
    }
    return 0;
}
