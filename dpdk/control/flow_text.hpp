// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "dpdk/control/flow_view.hpp"
#include "nat/policy/identities.hpp"

namespace noclash::dpdk {

/// Writes flows as JSON text without line breaks. Each view dies with the next call.
class FlowText {
  public:
    /// @param rules  the names of all rules that a flow may refer to; outlives this
    explicit FlowText(const nat::Names& rules) : rules_(rules) {}

    /// An object with every field; docs/json.md describes them.
    [[nodiscard]] std::string_view object(const FlowView& flow);
    /// A string: the line for people, as `conntrack -L` prints it.
    [[nodiscard]] std::string_view line(const FlowView& flow);

  private:
    void add_wildcard_object(const FlowView& flow);
    void add_wildcard_line(const FlowView& flow);

    [[nodiscard]] const std::string& rule(nat::RuleId id);

    const nat::Names& rules_;
    std::vector<std::string> quoted_;  ///< their names as the inside of JSON strings, as far as met
    fmt::memory_buffer out_;
};

}  // namespace noclash::dpdk
