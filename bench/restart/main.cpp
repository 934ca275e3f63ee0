// SPDX-License-Identifier: Apache-2.0

// Leaves a state file with flows of the daemon's own making, as a daemon does that is killed, and
// says how some of them are translated. `tools/bench restart` starts a daemon on it.

#include <fmt/core.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/pipeline/cases.hpp"
#include "dpdk/device/log.hpp"

namespace noclash::bench {
namespace {

enum ExitCode : int { fine = 0, wrong = 1, usage = 2, environment = 3 };

struct Order {
    std::uint32_t flows = 64 * thousand;
    unsigned workers = 2;
    std::string state, config, control_socket, inside, outside, sample;
};

/// So many flows are looked at again.
constexpr std::uint32_t sampled = 2000;

void replace(std::string& text, std::string_view what, std::string_view with) {
    const auto found = text.find(what);
    if (found == std::string::npos)
        throw std::logic_error(fmt::format("the configuration has no {}", what));
    text.replace(found, what.size(), with);
}

/// The bed's configuration, on the daemon's devices.
std::string daemon_text(std::string text, const Order& order) {
    replace(text, "vdev:net_ring_in0", order.inside);
    replace(text, "vdev:net_ring_out0", order.outside);
    replace(text, "idle = \"poll\"", "idle = \"nap\"");
    return text;
}

void write(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text;
    file.close();
    if (!file) throw std::runtime_error("cannot write " + path);
}

nlohmann::json sample_of(const Translations& translations) {
    nlohmann::json rows = nlohmann::json::array();
    const std::uint32_t step = std::max(1U, translations.size() / sampled);
    for (std::uint32_t number = 0; number < translations.size(); number += step) {
        const Tuple<V4> sent = translations.flows().original(number);
        const Tuple<V4> answer = translations.answer(number);
        rows.push_back({{"number", number},
                        {"source", to_string<V4>(sent.source)},
                        {"source_port", sent.source_port.host()},
                        {"destination", to_string<V4>(sent.destination)},
                        {"destination_port", sent.destination_port.host()},
                        {"outside", to_string<V4>(answer.destination)},
                        {"outside_port", answer.destination_port.host()}});
    }
    return rows;
}

void leave_flows(const Order& order) {
    Dpdk dpdk(order.workers, dpdk::HugePages::none);
    Wish wish;
    wish.flows = std::max(order.flows, 1024U);
    wish.workers = order.workers;
    wish.general =
        fmt::format("name = \"bench\"\ncontrol_socket = \"{}\"\n[state]\nfile = \"{}\"\n",
                    order.control_socket, order.state);
    Bed bed(dpdk, wish);
    const Flows flows;
    Translations translations(flows, order.flows, bed.gateway());
    if (order.flows > 0) {
        Trial trial(bed, translations);
        establish(trial, translations);
    }
    const std::string text = daemon_text(bed.gateway().config.text, order);
    write(order.config, text);
    write(order.sample, sample_of(translations).dump());
    dpdk::State& state = *bed.gateway().state;
    state.keep(bed.gateway().identities, dpdk::parse_config(text, order.config));
    state.alive(now_ms());
}

int run(int argc, char** argv) {
    CLI::App app{"leave_flows: leaves a state file with established TCP flows"};
    Order order;
    app.add_option("--flows", order.flows, "how many")->check(CLI::Range(0U, 1U << 27U));
    app.add_option("--workers", order.workers, "of the daemon")->check(CLI::Range(1U, 64U));
    app.add_option("--state", order.state, "the file to be made, on a tmpfs")->required();
    app.add_option("--config", order.config, "the daemon's configuration, to be written")
        ->required();
    app.add_option("--control-socket", order.control_socket, "that stands in it")->required();
    app.add_option("--inside", order.inside, "device on the clients' side")->required();
    app.add_option("--outside", order.outside, "device on the servers' side")->required();
    app.add_option("--sample", order.sample, "JSON of some flows, to be written")->required();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? fine : usage;
    }
    try {
        leave_flows(order);
    } catch (const WrongAnswer& error) {
        fmt::print(stderr, "leave_flows: wrong answer: {}\n", error.what());
        return wrong;
    } catch (const std::exception& error) {
        fmt::print(stderr, "leave_flows: {}\n", error.what());
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
