// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include "bench/ports/cases.hpp"

namespace noclash::bench {
namespace {

void crowd(const std::string& what, std::uint32_t count, nat::PortRange range, std::uint32_t used,
           const Options& options, Report& report) {
    // Room for those that live, and for those that ended and are not reclaimed yet.
    Gateway<Noclash> gateway(count * range.size() + 65536);
    std::vector<Destination> destinations;
    for (std::uint32_t i = 0; i < count; ++i)
        destinations.emplace_back(i, range);
    Cost filling;
    for (Destination& destination : destinations)
        fill(gateway, destination, used, filling);
    static_cast<void>(steady<Noclash>(gateway, destinations,
                                      {options.effort.flows / 10, options.effort.time / 10}));
    report.cost("noclash", what, steady<Noclash>(gateway, destinations, options.effort));
}

}  // namespace

void many_crowds(const Options& options, Report& report) {
    Report::heading("Several crowded destinations, in turn");
    const auto last = static_cast<std::uint16_t>(1024 + options.crowd_ports - 1);
    crowd(fmt::format("16 x {} ports, 99 %", options.crowd_ports), 16, {1024, last},
          options.crowd_ports * 99 / 100, options, report);
    // 63 of 64 ports taken: small enough that the number of destinations alone matters.
    for (const std::uint32_t count : {128U, 256U, 384U, 512U, 768U, 1024U})
        crowd(fmt::format("{} x 64 ports, 63 used", count), count, {1024, 1087}, 63, options,
              report);
}

}  // namespace noclash::bench
