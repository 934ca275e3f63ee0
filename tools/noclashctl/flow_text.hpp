// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace noclash::tools {

/// One flow as `conntrack -L` prints it, with a line end.
[[nodiscard]] std::string flow_line(const nlohmann::json& flow);

/// Every field of a flow, one a line in the order of `row`, with a blank line behind.
[[nodiscard]] std::string flow_details(std::string_view row);

}  // namespace noclash::tools
