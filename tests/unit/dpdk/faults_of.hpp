// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dpdk/config/config.hpp"

namespace noclash::dpdk {

/// The faults of a configuration; empty when it is fit.
template <class Read>
[[nodiscard]] std::vector<std::string> faults_of_reading(Read read) {
    try {
        [[maybe_unused]] const Config config = read();
        return {};
    } catch (const ConfigError& error) {
        return error.faults();
    }
}

[[nodiscard]] inline std::vector<std::string> faults_of(const std::string& text) {
    return faults_of_reading([&] { return parse_config(text, "f"); });
}

}  // namespace noclash::dpdk
