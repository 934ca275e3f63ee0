// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace noclash::tools {

/// What noclash answers to `reload` and `config diff`.
struct ReloadAnswer {
    std::vector<nlohmann::json> changes;
    std::vector<std::string> warnings;
    nlohmann::json outcome;

    /// Takes a row. Those of a later version that it does not know are left out.
    void add(const nlohmann::json& row);
};

/// A line for each change, with a sign in front: + added, - removed, ~ changed, > moved. Nothing
/// when there is none.
[[nodiscard]] std::string changes_table(const std::vector<nlohmann::json>& changes);

/// What keeps noclash from changing its configuration while it runs, and what to do; nothing when
/// it does, or would.
[[nodiscard]] std::string refusal_text(const ReloadAnswer& answer);

/// How a reload went, in a sentence.
[[nodiscard]] std::string reloaded_text(const ReloadAnswer& answer);
/// How one would go.
[[nodiscard]] std::string would_reload_text(const ReloadAnswer& answer);

}  // namespace noclash::tools
