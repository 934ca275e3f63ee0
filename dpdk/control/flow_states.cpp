// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/flow_states.hpp"

#include <algorithm>
#include <cctype>

#include "nat/conntrack/sctp_state.hpp"
#include "nat/conntrack/tcp_state.hpp"

namespace noclash::dpdk {

std::vector<std::string_view> known_flow_states() {
    std::vector<std::string_view> states(nat::tcp_state_names.begin(), nat::tcp_state_names.end());
    for (const std::string_view name : nat::sctp_state_names) {
        if (std::ranges::find(states, name) == states.end()) states.push_back(name);
    }
    std::erase(states, "NONE");  // no flow is in it
    states.push_back(mapping_state);
    states.push_back(permission_state);
    states.push_back(incarnation_state);
    return states;
}

std::optional<std::string> parse_flow_state(std::string_view text) {
    std::string name(text);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
    const auto known = known_flow_states();
    if (std::ranges::find(known, name) == known.end()) return std::nullopt;
    return name;
}

}  // namespace noclash::dpdk
