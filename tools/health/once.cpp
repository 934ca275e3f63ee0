// SPDX-License-Identifier: Apache-2.0
#include "tools/health/once.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tools/health/daemon.hpp"
#include "tools/health/runner.hpp"
#include "tools/health/services.hpp"
#include "tools/noclashctl/client.hpp"
#include "tools/noclashctl/output.hpp"
#include "tools/noclashctl/tables.hpp"

namespace noclash::health {

namespace {

using nlohmann::json;

struct Row {
    BackendName name;
    Kind kind;
    Outcome outcome;
};

std::vector<Row> check_all(const Config& config, const Targets& targets) {
    std::vector<Row> rows;
    std::unordered_map<TargetId, std::size_t> places;
    Runner runner(config.ceilings, [&](TargetId id, Outcome outcome) {
        const auto place = places.extract(id);
        rows[place.mapped()].outcome = std::move(outcome);
        runner.remove(id);
    });
    for (const auto& [name, target] : targets.all) {
        places.emplace(runner.add_once(*target.check, target.endpoint), rows.size());
        rows.push_back({name, target.check->kind, {}});
    }
    while (!places.empty())
        runner.turn(UINT64_MAX);
    return rows;
}

void print_table(const std::vector<Row>& rows) {
    tools::TextTable table({"service", "backend", "kind", "result", "ms", "words"});
    for (const Row& row : rows)
        table.add({row.name.first, row.name.second, std::string(to_text(row.kind)),
                   row.outcome.success ? "up" : "down",
                   fmt::format("{:.1f}", static_cast<double>(row.outcome.took_ns) / 1e6),
                   row.outcome.words});
    tools::print(table.text());
}

void print_json(const std::vector<Row>& rows) {
    tools::JsonArray array;
    for (const Row& row : rows)
        array.add(json{{"service", row.name.first},
                       {"backend", row.name.second},
                       {"kind", to_text(row.kind)},
                       {"up", row.outcome.success},
                       {"took_us", row.outcome.took_ns / 1000},
                       {"words", row.outcome.words}}
                      .dump(-1, ' ', false, json::error_handler_t::replace));
    array.close();
}

}  // namespace

bool check_once(const Config& config, tools::Format format) {
    tools::Client client(config.control_socket, daemon_silence_s);
    const Targets targets = targets_of(config.checks, list_services(client));
    for (const std::string& problem : targets.problems)
        fmt::print(stderr, "noclash-health: {}\n", problem);
    const std::vector<Row> rows = check_all(config, targets);
    if (format == tools::Format::json) {
        print_json(rows);
    } else {
        print_table(rows);
    }
    tools::flush_output();
    return std::ranges::all_of(rows, [](const Row& row) { return row.outcome.success; });
}

}  // namespace noclash::health
