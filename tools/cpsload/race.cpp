// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/race.hpp"

#include <fmt/format.h>

namespace noclash::cpsload {

std::string why_no_race(const Options& options) {
    if (options.profile != "lb" || options.self_test) return {};
    const std::string kind = options.client.device.substr(0, options.client.device.find(':'));
    // A NIC spreads what it receives over the gateway's CPUs.
    if (kind == "pci" || kind == "vdev") return {};
    return fmt::format(
        "none: one thread sends, and {} hands the gateway one packet after another; `storm send` "
        "sends from two CPUs at once",
        kind);
}

}  // namespace noclash::cpsload
