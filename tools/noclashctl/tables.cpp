// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "nat/packet/drop_reason.hpp"

namespace noclash::tools {

namespace {

using nlohmann::json;

constexpr std::size_t most_worker_columns = 8;

// The order of `conntrack -S`.
constexpr std::array<std::string_view, 10> netfilter_counters{
    "found",      "invalid", "insert",         "insert_failed", "drop",
    "early_drop", "error",   "search_restart", "clash_resolve", "chaintoolong"};

bool is_number(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string cell(const json& row, const std::string& key) {
    const auto found = row.find(key);
    if (found == row.end() || found->is_null()) return "-";
    return found->is_string() ? found->get<std::string>() : found->dump();
}

/// What the daemon has adopted from the process before it; nothing when it has adopted none.
std::string adoption_text(const json& worker) {
    const auto adoption = worker.find("adoption");
    if (adoption == worker.end() || !adoption->is_object()) return "";
    std::string text = fmt::format("\nadopted {} flows of {} in {} ms:", cell(*adoption, "flows"),
                                   cell(*adoption, "instance"), cell(*adoption, "took_ms"));
    for (const char* count : {"rolled_back", "over", "refused", "unchanged", "live_on", "ended"})
        text += fmt::format(" {}={}", count, cell(*adoption, count));
    return text + "\n";
}

std::string_view help_of(std::string_view reason) {
    for (std::size_t i = 0; i < nat::drop_reasons; ++i) {
        if (nat::drop_reason_names[i] == reason) return nat::drop_reason_help[i];
    }
    return "";
}

std::uint64_t count(const json& worker, const char* group, std::string_view name) {
    const auto counters = worker.find(group);
    if (counters == worker.end()) return 0;
    const auto found = counters->find(name);
    return found == counters->end() ? 0 : found->get<std::uint64_t>();
}

/// The counters of one group that any worker has.
std::vector<std::string> names_of(const std::vector<json>& workers, const char* group) {
    std::vector<std::string> names;
    for (const json& worker : workers) {
        if (!worker.contains(group)) continue;
        for (const auto& entry : worker.at(group).items()) {
            if (std::find(names.begin(), names.end(), entry.key()) == names.end()) {
                names.push_back(entry.key());
            }
        }
    }
    return names;
}

enum class Rows { all, drops_that_occurred };

std::string group_table(const std::vector<json>& workers, const char* group,
                        const std::string& title, Rows rows) {
    std::vector<std::string> header{title, "total"};
    const bool each = workers.size() > 1 && workers.size() <= most_worker_columns;
    for (std::size_t i = 0; each && i < workers.size(); ++i) {
        header.push_back(fmt::format("worker={}", cell(workers[i], "worker")));
    }
    if (rows == Rows::drops_that_occurred) header.emplace_back("meaning");
    TextTable table(std::move(header));
    bool any = false;
    for (const std::string& name : names_of(workers, group)) {
        std::uint64_t total = 0;
        for (const json& worker : workers)
            total += count(worker, group, name);
        if (rows == Rows::drops_that_occurred && total == 0) continue;
        std::vector<std::string> cells{name, fmt::format("{}", total)};
        for (std::size_t i = 0; each && i < workers.size(); ++i) {
            cells.push_back(fmt::format("{}", count(workers[i], group, name)));
        }
        if (rows == Rows::drops_that_occurred) cells.emplace_back(help_of(name));
        table.add(std::move(cells));
        any = true;
    }
    return any ? fmt::format("\n{}", table.text()) : "";
}

}  // namespace

std::string TextTable::text() const {
    const std::size_t columns = lines_.front().size();
    std::vector<std::size_t> widths(columns, 0);
    std::vector<bool> numeric(columns, lines_.size() > 1);
    for (std::size_t line = 0; line < lines_.size(); ++line) {
        for (std::size_t i = 0; i < columns; ++i) {
            widths[i] = std::max(widths[i], lines_[line][i].size());
            if (line > 0 && !is_number(lines_[line][i])) numeric[i] = false;
        }
    }
    std::string text;
    for (const auto& line : lines_) {
        std::string row;
        for (std::size_t i = 0; i < columns; ++i) {
            if (i > 0) row += "  ";
            row += numeric[i] ? fmt::format("{:>{}}", line[i], widths[i])
                              : fmt::format("{:<{}}", line[i], widths[i]);
        }
        row.erase(row.find_last_not_of(' ') + 1);
        text += row + '\n';
    }
    return text;
}

std::string counted(std::uint64_t count, std::string_view what) {
    return fmt::format("{} {}{}", fmt::group_digits(count), what, count == 1 ? "" : "s");
}

std::string rows_table(const std::vector<json>& rows, const std::vector<std::string>& columns) {
    TextTable table(columns);
    for (const json& row : rows) {
        std::vector<std::string> cells;
        cells.reserve(columns.size());
        for (const std::string& column : columns)
            cells.push_back(cell(row, column));
        table.add(std::move(cells));
    }
    return table.text();
}

std::string stats_text(const std::vector<json>& workers) {
    std::string text;
    for (const json& worker : workers) {
        text += fmt::format("worker={}", cell(worker, "worker"));
        for (const std::string_view counter : netfilter_counters) {
            text += fmt::format(" {}={}", counter, count(worker, "netfilter", counter));
        }
        text += '\n';
    }
    text += group_table(workers, "datapath", "datapath", Rows::all);
    text += group_table(workers, "drops", "dropped", Rows::drops_that_occurred);
    if (!workers.empty()) text += adoption_text(workers.front());
    return text;
}

}  // namespace noclash::tools
