// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/health/services.hpp"
#include "tools/noclashctl/client.hpp"

namespace noclash::health {

/// How long the daemon may be silent; at work it gives a sign each second.
inline constexpr unsigned daemon_silence_s = 3;

/// The health of a backend, to be told to the daemon.
struct Change {
    BackendName backend;
    bool up = false;
};

// What noclash-health says to the daemon. All throw what `Client::call` throws, and
// nlohmann::json::exception when the daemon says what no version known to us says.

[[nodiscard]] std::vector<Service> list_services(tools::Client& client);

/// Tells that noclash-health is alive: states of health that nobody renews are old. A daemon that
/// knows nothing of it is fine.
void beat(tools::Client& client);

/// A change that the daemon refused, with its words.
struct Refusal {
    Change change;
    std::string words;
};

/// Writes as few requests as changes allow. The daemon takes all changes of a request or none:
/// those of a refused one are written in halves, until only those that are refused themselves are
/// left.
/// @throws what `Client::call` throws, but no DaemonError
[[nodiscard]] std::vector<Refusal> write_changes(tools::Client& client,
                                                 std::span<const Change> changes);

}  // namespace noclash::health
