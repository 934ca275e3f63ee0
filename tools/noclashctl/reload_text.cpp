// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/reload_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "tools/noclashctl/tables.hpp"

namespace noclash::tools {

namespace {

using nlohmann::json;

std::string_view sign_of(const std::string& kind) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 4> signs{
        {{"added", "+"}, {"removed", "-"}, {"changed", "~"}, {"moved", ">"}}};
    for (const auto& [word, sign] : signs)
        if (kind == word) return sign;
    return "?";
}

std::uint64_t flows(const ReloadAnswer& answer, const char* what) {
    return answer.outcome.value("flows", json::object()).value(what, std::uint64_t{0});
}

std::string file_of(const ReloadAnswer& answer) {
    return answer.outcome.value("file", "its file");
}

std::string no_change_text(const ReloadAnswer& answer) {
    return fmt::format("No change: noclash runs with {} as it is.", file_of(answer));
}

/// Whether there is nothing to be told of flows either.
bool is_idle(const ReloadAnswer& answer) {
    return answer.changes.empty() && flows(answer, "ended") == 0;
}

}  // namespace

void ReloadAnswer::add(const json& row) {
    if (const auto change = row.find("change"); change != row.end())
        changes.push_back(*change);
    else if (const auto warning = row.find("warning"); warning != row.end())
        warnings.push_back(warning->at("text").get<std::string>());
    else if (const auto last = row.find("outcome"); last != row.end())
        outcome = *last;
}

std::string changes_table(const std::vector<json>& changes) {
    if (changes.empty()) return "";
    TextTable table({"", "section", "name", "change"});
    for (const json& change : changes) {
        std::string section = change.at("section").get<std::string>();
        if (section.empty()) section = "-";
        std::string words = change.at("words").get<std::string>();
        if (change.value("needs_restart", false)) words += " (needs a restart)";
        table.add({std::string(sign_of(change.at("kind").get<std::string>())), std::move(section),
                   change.at("name").get<std::string>(), std::move(words)});
    }
    return table.text();
}

std::string refusal_text(const ReloadAnswer& answer) {
    const auto keys = answer.outcome.value("needs_restart", std::vector<std::string>());
    if (keys.empty()) return "";
    const bool one = keys.size() == 1;
    return fmt::format("{} {} a restart of noclash; leave {} to reload the rest",
                       fmt::join(keys, ", "), one ? "needs" : "need",
                       one ? "it as it is" : "them as they are");
}

std::string reloaded_text(const ReloadAnswer& answer) {
    if (is_idle(answer)) return no_change_text(answer) + '\n';
    return fmt::format(
        "Reloaded {} in {} ms: {}; {} unchanged, {} live on by former rules or addresses, {} "
        "ended.\n",
        file_of(answer), fmt::group_digits(answer.outcome.value("took_ms", std::uint64_t{0})),
        counted(answer.changes.size(), "change"), counted(flows(answer, "unchanged"), "flow"),
        fmt::group_digits(flows(answer, "live_on")), fmt::group_digits(flows(answer, "ended")));
}

std::string would_reload_text(const ReloadAnswer& answer) {
    if (const std::string refusal = refusal_text(answer); !refusal.empty())
        return fmt::format("A reload would change nothing: {}.\n", refusal);
    if (is_idle(answer)) return no_change_text(answer) + '\n';
    return fmt::format(
        "A reload would make {}; {} would be unchanged, {} would live on by former rules or "
        "addresses, {} would end.\n",
        counted(answer.changes.size(), "change"), counted(flows(answer, "unchanged"), "flow"),
        fmt::group_digits(flows(answer, "live_on")), fmt::group_digits(flows(answer, "ended")));
}

}  // namespace noclash::tools
