// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "dpdk/config/config.hpp"
#include "tools/noclashctl/commands.hpp"
#include "tools/noclashctl/output.hpp"

namespace noclash::tools {

namespace {

using dpdk::Finding;
using dpdk::Severity;
using nlohmann::json;

/// `faults` and `warnings` are the lines that people see; `findings` are both of them, in parts.
json as_json(const std::string& file, bool fit, const std::vector<Finding>& findings) {
    json parts = json::array();
    for (const Finding& finding : findings)
        parts.push_back({{"severity", finding.severity == Severity::fault ? "fault" : "warning"},
                         {"line", finding.line},
                         {"column", finding.column},
                         {"section", finding.section},
                         {"key", finding.key},
                         {"text", finding.text}});
    return {{"file", file},
            {"fit", fit},
            {"faults", texts_of(findings, Severity::fault)},
            {"warnings", texts_of(findings, Severity::warning)},
            {"findings", parts}};
}

std::string summary(const dpdk::Config& config) {
    return fmt::format(
        "{}: fit for use (workers: {}, flows: {}, ports: {}, routes: {}, pools: {}, rules: {}, "
        "services: {})\n",
        config.file, config.workers, config.flows, config.ports.size(), config.routes.size(),
        config.policy.pools.size(), config.policy.rules.size(), config.policy.services.size());
}

}  // namespace

bool check_config(const Settings& settings, const std::string& file, Warnings warnings) {
    std::vector<Finding> findings;
    std::string fine;
    try {
        const dpdk::Config config = dpdk::load_config(file);
        findings = config.warnings;
        fine = summary(config);
    } catch (const dpdk::ConfigError& error) {
        findings = error.findings();
    }
    const bool fit = !fine.empty() && (findings.empty() || warnings == Warnings::tolerated);
    if (settings.format == Format::json) {
        JsonArray array;
        array.add(
            as_json(file, fit, findings).dump(-1, ' ', false, json::error_handler_t::replace));
        array.close();
        return fit;
    }
    for (const Finding& finding : findings)
        fmt::print(stderr, "{}\n", finding.text);
    if (fit)
        print(fine);
    else if (!fine.empty())
        fmt::print(stderr, "{}: refused for its warnings (--strict)\n", file);
    return fit;
}

}  // namespace noclash::tools
