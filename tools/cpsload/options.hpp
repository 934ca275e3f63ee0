// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "dpdk/config/config.hpp"
#include "engine/base/address.hpp"
#include "tools/cpsload/pace.hpp"
#include "tools/cpsload/search.hpp"
#include "tools/cpsload/settings.hpp"
#include "tools/cpsload/station.hpp"

namespace noclash::cpsload {

/// A mistake on the command line; the text names the option and the remedy.
class UsageError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The kind of measurement.
enum class Measure : std::uint8_t {
    run,            ///< one load, fixed or ramped
    search,         ///< the highest rate with no more than `max_loss`
    establishment,  ///< the same for openings alone
    teardown,       ///< how fast held connections are closed
    capacity,       ///< how many connections the gateway can keep
};

struct SideOptions {
    std::string device;  ///< as in noclash's configuration; empty: `--self-test`
    V4Address address;
    std::uint8_t prefix_length = 24;
    V4Address gateway;
    std::vector<AddressRange> own;  ///< all addresses that this side has
};

struct Options {
    std::string profile;
    Settings settings;
    SideOptions client;
    SideOptions server;
    Measure measure = Measure::run;
    Schedule schedule;
    std::uint64_t connections = UINT64_MAX;
    Time duration = UINT64_MAX;
    Time reuse_after = 240 * second;
    SearchOptions search;
    std::uint16_t descriptors = 1024;
    std::uint16_t mtu = 1500;
    std::optional<std::uint32_t> core;
    dpdk::Idle idle = dpdk::Idle::nap;
    dpdk::HugePages huge_pages = dpdk::HugePages::automatic;
    bool self_test = false;       ///< both sides back to back: there is no gateway
    bool measure_ceiling = true;  ///< of the tester, before the run
    bool json = false;
};

struct ParsedCommandLine {
    std::optional<Options> options;  ///< nothing: help was asked for, and printed
};

/// Reads and checks the command line completely.
/// @throws UsageError
[[nodiscard]] ParsedCommandLine read_options(int argc, char** argv);

}  // namespace noclash::cpsload
