// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "tools/storm/ledger.hpp"

namespace noclash::tools {

struct ReceiveOptions {
    std::string interface;
    std::uint8_t protocol = 0;
    std::uint16_t port = 0;      ///< destination port of the probes, as they arrive here
    std::uint32_t expected = 0;  ///< ids 0 to expected-1
    Sockets sockets = Sockets::one_each;
    /// Ends after so long without a probe, once all arrived or the sender is said to have ended.
    std::chrono::milliseconds idle{500};
    std::chrono::seconds limit{120};  ///< ends then in any case
};

struct ReceiveResult {
    LedgerSummary summary;
    std::uint64_t kernel_drops = 0;  ///< frames that this instrument lost: nothing above holds
    std::int64_t first_ns = 0;       ///< arrivals on the machine's monotonic clock; 0: none
    std::int64_t last_ns = 0;
};

/// Captures probes until the end that `options` describe. `ready` is called when capturing has
/// begun; `sender_ended` may be set by a signal handler.
[[nodiscard]] ReceiveResult receive_storm(const ReceiveOptions& options,
                                          const std::atomic<bool>& sender_ended,
                                          const std::function<void()>& ready);

}  // namespace noclash::tools
