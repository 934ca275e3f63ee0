// SPDX-License-Identifier: Apache-2.0

// Whether what was asked for can be done.

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "nat/packet/headers.hpp"
#include "tools/cpsload/command_line.hpp"
#include "tools/cpsload/connection.hpp"
#include "tools/cpsload/plan.hpp"

namespace noclash::cpsload {
namespace {

constexpr std::uint64_t most_tuples = 2'000'000'000;

void check_identity(const Options& options) {
    const Settings& settings = options.settings;
    if (!Identity(std::bit_ceil(std::max(settings.in_flight, 2U)), settings.payload_bytes).fits())
        throw UsageError(fmt::format(
            "--payload {} with {} connections in flight: a sequence number cannot name them all; "
            "lower one of the two",
            settings.payload_bytes, settings.in_flight));
    constexpr std::uint32_t headers = sizeof(nat::IpHeader<V4>) + sizeof(nat::TcpHeader);
    if (settings.payload_bytes + headers > options.mtu)
        throw UsageError(
            fmt::format("--payload {}: with {} bytes of headers it does not fit into "
                        "--mtu {}",
                        settings.payload_bytes, headers, options.mtu));
    if (settings.first_source.value.host() > UINT32_MAX - settings.sources)
        throw UsageError("--sources: the last source address would be above 255.255.255.255");
}

/// The demand for source tuples of one kind.
struct Demand {
    double there = 0;
    double wanted = 0;  ///< connections; may be infinite
    double rate = 0;    ///< a second; 0: unlimited
    double keep_s = 0;  ///< for which a closed connection's tuple may not be used again

    [[nodiscard]] double again_s() const { return rate == 0 ? 0 : there / rate; }
    [[nodiscard]] bool met() const { return wanted <= there || again_s() >= keep_s; }
    /// Tuples that would do.
    [[nodiscard]] double enough() const {
        return rate == 0 ? wanted : std::min(wanted, rate * keep_s);
    }
};

Demand demand_of(const Options& options, const Traffic& traffic, double share) {
    Demand demand;
    demand.there = static_cast<double>(Plan::tuples(options.settings, traffic));
    demand.rate = std::max(options.schedule.from_cps, options.schedule.to_cps) * share;
    demand.wanted = options.connections == UINT64_MAX
                        ? INFINITY
                        : static_cast<double>(options.connections) * share;
    if (options.duration != UINT64_MAX && demand.rate > 0)
        demand.wanted = std::min(demand.wanted, demand.rate * seconds(options.duration));
    demand.keep_s = traffic.kind == Kind::syn ? INFINITY : seconds(options.reuse_after);
    return demand;
}

[[noreturn]] void refuse(const Settings& settings, Kind kind, const Demand& demand) {
    const double enough = std::ceil(demand.enough() / demand.there * settings.sources);
    const std::string sources = std::isinf(enough) ? "more --sources and a --rate"
                                                   : fmt::format("{:.0f} --sources", enough);
    const std::string tuples = fmt::format(
        "{:.0f} source tuples that --sources, --source-ports and --service make", demand.there);
    if (kind == Kind::syn)
        throw UsageError(
            fmt::format("{:.0f} connections that stay open need more than the {}; "
                        "give {}",
                        demand.wanted, tuples, sources));
    throw UsageError(fmt::format(
        "this run of {} needs more than the {}: the first would be used again after {:.0f} s, "
        "while "
        "the gateway may keep it for {:.0f} s (--reuse-after). Give {}, or lower --rate, or say "
        "--reuse-after 0 where a SYN opens a closed connection anew, as with noclash and Linux",
        kind_names[std::size_t(kind)], tuples, demand.again_s(), demand.keep_s, sources));
}

void check_tuples(const Options& options) {
    double weights = 0;
    for (const Traffic& traffic : options.settings.traffic)
        weights += traffic.weight;
    for (const Traffic& traffic : options.settings.traffic) {
        const Demand demand = demand_of(options, traffic, traffic.weight / weights);
        if (demand.there > most_tuples)
            throw UsageError(fmt::format(
                "--sources: more than {} tuples; fewer addresses, ports or services will do",
                most_tuples));
        // A search does not know its rates beforehand: it looks before each trial.
        const bool searches =
            options.measure == Measure::search || options.measure == Measure::establishment;
        if (!options.self_test && !searches && !demand.met())
            refuse(options.settings, traffic.kind, demand);
    }
}

/// Two kinds that open the same tuples would take each other's packets for their own.
void check_mix(const Options& options) {
    const auto& traffic = options.settings.traffic;
    for (std::size_t i = 0; i < traffic.size(); ++i) {
        for (std::size_t j = i + 1; j < traffic.size(); ++j) {
            if (is_tcp(traffic[i].kind) != is_tcp(traffic[j].kind)) continue;
            for (const Endpoint& service : traffic[i].services)
                if (std::ranges::find(traffic[j].services, service) != traffic[j].services.end())
                    throw UsageError(
                        fmt::format("--service: {} and {} would both use {}:{}; give each kind "
                                    "ports of its own",
                                    kind_names[std::size_t(traffic[i].kind)],
                                    kind_names[std::size_t(traffic[j].kind)],
                                    to_string<V4>(service.address), service.port));
        }
    }
}

}  // namespace

void check(const Options& options) {
    check_identity(options);
    check_mix(options);
    check_tuples(options);
}

}  // namespace noclash::cpsload
