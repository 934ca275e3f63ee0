// SPDX-License-Identifier: Apache-2.0

// The cost of choosing a port, and the failures, against the share of a destination's ports that is
// taken: noclash's policy and models of its peers', all over the real flow engine. A flow's cost is
// that of claim, reserve and publish, and includes one reading of the clock; a mean is the median
// of the means of 256 flows in a row.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <exception>

#include "bench/ports/cases.hpp"

int main(int argc, char** argv) {
    namespace bench = noclash::bench;
    CLI::App app{"What choosing a port costs, and when it fails, against occupancy"};
    bench::Options options;
    std::string json_path;
    bool quick = false;
    app.add_option("--json", json_path, "write the results to this file as well");
    app.add_flag("--quick", quick, "fewer flows a case; done in less than half a minute");
    app.add_option("--flows", options.flows, "that the flow table has room for")
        ->check(CLI::Range(1U << 18U, 1U << 26U))
        ->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    if (quick) {
        options.fills = 3;
        options.crowd_ports = 4096;
        options.effort = {20'000, std::chrono::milliseconds(150)};
    }
    try {
        bench::Report report;
        bench::against_occupancy(options, report);
        bench::to_the_last_port(options, report);
        bench::many_crowds(options, report);
        if (!json_path.empty()) report.write(json_path);
    } catch (const std::exception& error) {
        fmt::print(stderr, "port_bench: {}\n", error.what());
        return 1;
    }
    return 0;
}
