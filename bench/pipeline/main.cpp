// SPDX-License-Identifier: Apache-2.0

// The daemon's workers from RX burst to TX burst, in memory: what a packet costs, for new and
// established flows, one and two workers. `tools/bench pipeline` runs it and says what the figures
// mean.

#include <fmt/core.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <CLI/CLI.hpp>
#include <array>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "bench/pipeline/cases.hpp"
#include "bench/workers.hpp"
#include "dpdk/device/log.hpp"

namespace noclash::bench {
namespace {

enum ExitCode : int { fine = 0, wrong = 1, usage = 2, environment = 3 };

struct Case {
    const char* name;
    const char* help;
    unsigned workers;
    void (*run)(Dpdk&, const Options&, PipelineReport&);
};

constexpr std::array cases{
    Case{"flows", "new and established flows, by their number, protocol and direction", 1,
         flows_by_number},
    Case{"churn", "new flows while as many old ones end", 1, churn},
    Case{"workers", "two workers on the same flows, beside one", 2, two_workers},
    Case{"crowd", "one destination, from empty to full", 1, one_destination},
    Case{"locality", "new flows whose replies are to come to their worker, and others", 2,
         reply_locality},
    Case{"latency", "from RX to TX, of first and later packets, under load", 1, latency},
    Case{"forward", "forwarding without translation", 1, forwarding},
    Case{"rules", "new flows and untracked packets, by the number of rules", 1, rules_by_number},
    Case{"services", "new flows and packets, by the number of services", 1, services_by_number},
    Case{"syn_flood", "established packets among SYNs that are answered by cookies", 1, syn_flood},
    Case{"routes", "a hundred thousand routes: to load, and what packets cost beside few routes", 1,
         routes_by_number},
    Case{"reloads", "established flows while the policy is replaced all the time", 2, reloads},
    Case{"limit", "the least that can be done with the same traffic; what no gateway exceeds", 1,
         limit},
};

std::string footer() {
    std::string text = "Cases:\n";
    for (const Case& one : cases)
        text += fmt::format("  {:<10}{}\n", one.name, one.help);
    return text +
           "\nFrames of 64 bytes are written into packet buffers 4,096 ahead of the worker, so\n"
           "that it finds headers in L2 or L3, as a NIC leaves them. Figures are what the worker\n"
           "costs: what the rings cost is measured with a worker that only moves frames, and\n"
           "taken out. They are medians of parts of 256 packets, so that what else the machine "
           "does\n"
           "meanwhile falls into few of them; for new flows, of batches of 4,096, which have\n"
           "their share of what comes once in a while. Only batches count before and after which\n"
           "the CPU did all that it can, as long as there are such: on a shared machine, a\n"
           "neighbour on the same core may take half of it. Every packet of a separate pass is\n"
           "looked at: addresses, ports, checksums, lengths, TTL.\n"
           "\n"
           "Examples:\n"
           "  pipeline_bench --quick --json now.json\n"
           "  pipeline_bench --case churn\n"
           "Exit codes: 0 measured, 1 a wrong answer, 2 usage, 3 DPDK did not start.";
}

int run(int argc, char** argv) {
    CLI::App app{"pipeline_bench: what a packet costs, from RX burst to TX burst"};
    app.footer(footer());
    std::string json_path, pages = "auto";
    std::vector<std::string> wanted;
    bool quick = false;
    app.add_option("--json", json_path, "write the results to this file as well");
    app.add_flag("--quick", quick, "fewer packets; under a minute");
    bool with_huge = false;
    app.add_flag("--huge", with_huge,
                 "a hundred million flows, and nothing else: 18 GiB of memory, some minutes");
    bool profile = false;
    app.add_flag("--profile", profile, "cycles a packet by step of the pipeline, too");
    std::optional<std::uint64_t> packets;
    app.add_option("--packets", packets, "of each timing of established flows (default 2097152)")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 32U));
    std::uint32_t most_flows = 4 * million;
    app.add_option("--most-flows", most_flows, "leave out rows with more flows than so many")
        ->capture_default_str();
    app.add_option("--case", wanted, "only these")->check([](const std::string& name) {
        const bool known = std::any_of(cases.begin(), cases.end(),
                                       [&](const Case& one) { return name == one.name; });
        return known ? std::string() : "no case is called " + name;
    });
    app.add_option("--huge-pages", pages, "reserved ones, for packets and tables")
        ->check(CLI::IsMember({"auto", "required", "none"}))
        ->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? fine : usage;
    }
    Options options;
    if (quick) options.packets = million + million / 2;
    options.packets = packets.value_or(options.packets);
    options.most_flows = most_flows;
    options.profile = profile;

    PipelineReport report;
    try {
        const unsigned workers =
            std::min<unsigned>(2, static_cast<unsigned>(allowed_cpus().size()));
        Dpdk dpdk(workers, pages == "auto"       ? dpdk::HugePages::automatic
                           : pages == "required" ? dpdk::HugePages::required
                                                 : dpdk::HugePages::none);
        if (with_huge) huge(dpdk, options, report);
        for (const Case& one : cases) {
            if (with_huge) break;
            if (!wanted.empty() &&
                std::find(wanted.begin(), wanted.end(), one.name) == wanted.end())
                continue;
            if (one.workers > workers) {
                report.remark(fmt::format("{}: left out, this process has one CPU", one.name));
                continue;
            }
            one.run(dpdk, options, report);
        }
        report.conclude();
        if (!json_path.empty()) report.write(json_path);
    } catch (const WrongAnswer& error) {
        fmt::print(stderr, "pipeline_bench: wrong answer: {}\n", error.what());
        return wrong;
    } catch (const std::exception& error) {
        fmt::print(stderr, "pipeline_bench: {}\n", error.what());
        return environment;
    }
    return fine;
}

}  // namespace
}  // namespace noclash::bench

int main(int argc, char** argv) {
    spdlog::set_default_logger(spdlog::stderr_color_mt("bench"));
    spdlog::set_level(spdlog::level::warn);
    return noclash::bench::run(argc, argv);
}
