// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include "bench/ports/cases.hpp"

namespace noclash::bench {

void to_the_last_port(const Options& options, Report& report) {
    Report::heading("One destination filled from empty, each flow's cost");
    std::vector<double> last_us;
    Cost last, without_maps, refusal_without_maps;
    for (std::uint32_t i = 0; i < options.fills; ++i) {
        Gateway<Noclash> gateway(options.flows);
        Destination destination(i, {1024, 65535});
        Cost filling, last_of_this;
        fill(gateway, destination, destination.range().size() - 1, filling);
        fill(gateway, destination, destination.range().size(), last_of_this);
        if (destination.free() > 0) throw std::runtime_error("the last port was not found");
        filling.sort();
        report.cost("noclash", fmt::format("fill {}", i + 1), filling);
        last_us.push_back(last_of_this.mean_ns() / 1000);
        report.detail(fmt::format("fill {}: last port", i + 1), last_us.back(), "us");

        // The worst that can happen: the port is looked for by a gateway that knows nothing about
        // the destination, because its map was taken back.
        std::mt19937 random(i);
        gateway.end(destination.remove_any(random));
        gateway.forget_maps();
        fill(gateway, destination, destination.range().size(), without_maps);
        gateway.forget_maps();
        const Attempt refused = gateway.connect(destination);
        refusal_without_maps.add(refused, destination.free());
        if (refused.error != SetupError::exhausted)
            throw std::runtime_error("a full destination was not found exhausted");
    }
    without_maps.sort();
    refusal_without_maps.sort();
    report.cost("noclash", "last port, map lost", without_maps);
    report.cost("noclash", "exhausted, map lost", refusal_without_maps);
    std::ranges::sort(last_us);
    report.row("64,512th port of a full destination", last_us[last_us.size() / 2], "us", 20);
}

}  // namespace noclash::bench
