// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/state_text.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "dpdk/state/state_place.hpp"
#include "dpdk/state/state_view.hpp"
#include "engine/base/clock.hpp"

namespace noclash::tools {

namespace {

using dpdk::StateKind;
using dpdk::StateView;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::array<const char*, 6> status_names{"free",   "setup", "live",
                                                  "ending", "dead",  "succeeded"};

std::string_view name_of(StateKind kind) {
    switch (kind) {
        case StateKind::unfinished:
            return "empty";
        case StateKind::adoptable:
            return "adoptable";
        case StateKind::foreign:
            return "foreign";
        case StateKind::other_layout:
            return "other_layout";
        case StateKind::other_boot:
            return "other_boot";
        case StateKind::damaged:
            return "damaged";
    }
    return "foreign";
}

std::string_view meaning_of(std::string_view kind) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 7> meanings{{
        {"none", "there is no state file"},
        {"empty", "nothing is in it"},
        {"adoptable", "the next start goes on with its flows"},
        {"foreign", "it is no state file of noclash"},
        {"other_layout", "it is of another release; tools/upgrade carries its flows over"},
        {"other_boot", "its flows are from before the machine was started"},
        {"damaged", "it is shorter than it says"},
    }};
    for (const auto& [name, meaning] : meanings)
        if (name == kind) return meaning;
    return "";
}

void add_records(const StateView& view, ordered_json& row) {
    if (view.records().empty()) return;
    const dpdk::StateCounts counts = dpdk::count_records(view);
    row["flows"] = counts.flows;
    row["mappings"] = counts.mappings;
    row["permissions"] = counts.permissions;
    row["incarnations"] = counts.incarnations;
    row["records"] = view.records().size();
    for (std::size_t i = 0; i < status_names.size(); ++i)
        row["statuses"][status_names[i]] = counts.by_status[i];
    if (view.kind() != StateKind::adoptable) return;
    const std::uint64_t alive = view.header().alive_ms.load(std::memory_order_relaxed);
    const std::uint64_t now = now_ms();
    row["alive_s_ago"] = now > alive ? (now - alive) / 1000 : 0;
}

std::string line(std::string_view name, std::string_view value) {
    return fmt::format("{:14}{}\n", name, value);
}

}  // namespace

ordered_json state_row(const std::string& path) {
    ordered_json row{{"path", path},        {"kind", "none"},         {"release", nullptr},
                     {"in_use", false},     {"pid", nullptr},         {"flows", nullptr},
                     {"mappings", nullptr}, {"permissions", nullptr}, {"incarnations", nullptr},
                     {"records", nullptr},  {"statuses", nullptr},    {"alive_s_ago", nullptr},
                     {"bytes", 0},          {"huge_pages", false}};
    if (!dpdk::is_state_there(path)) return row;
    const StateView view(path);
    row["kind"] = name_of(view.kind());
    row["bytes"] = view.size();
    row["huge_pages"] = dpdk::memory_of_file(path).huge;
    if (const auto user = view.user()) {
        row["in_use"] = true;
        if (*user > 0) row["pid"] = *user;
    }
    if (view.kind() != StateKind::foreign && view.kind() != StateKind::unfinished)
        row["release"] = dpdk::text_of(view.header().release);
    add_records(view, row);
    return row;
}

std::string state_text(const json& row) {
    const auto kind = row.at("kind").get<std::string>();
    std::string text = line("path", row.at("path").get<std::string>());
    text += line("state", fmt::format("{}: {}", kind, meaning_of(kind)));
    if (kind == "none") return text;
    if (row.at("release").is_string()) text += line("release", row["release"].get<std::string>());
    if (row.at("in_use").get<bool>()) {
        text +=
            line("in use by", row.at("pid").is_null() ? std::string("another process")
                                                      : fmt::format("pid {}", row["pid"].dump()));
    }
    if (row.at("flows").is_number()) {
        text += line("flows", fmt::format("{}, and {} mappings, {} permissions, {} incarnations",
                                          row["flows"].dump(), row["mappings"].dump(),
                                          row["permissions"].dump(), row["incarnations"].dump()));
        std::string statuses;
        for (const char* status : status_names)
            statuses += fmt::format("{}{} {}", statuses.empty() ? "" : ", ",
                                    row["statuses"][status].dump(), status);
        text += line("records", fmt::format("{}: {}", row["records"].dump(), statuses));
    }
    const auto bytes = row.at("bytes").get<std::uint64_t>();
    return text + line("size", fmt::format("{} MiB on {} pages", (bytes + (1U << 20U) - 1) >> 20U,
                                           row.at("huge_pages").get<bool>() ? "reserved huge"
                                                                            : "the tmpfs's"));
}

}  // namespace noclash::tools
