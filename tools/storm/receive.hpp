// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "tools/storm/ledger.hpp"
#include "tools/storm/send.hpp"

namespace noclash::tools {

struct ReceiveOptions {
    std::string interface;
    std::uint8_t protocol = 0;
    std::uint16_t port = 0;      ///< destination port of the probes, as they arrive here
    std::uint32_t expected = 0;  ///< ids 0 to expected-1
    Sockets sockets = Sockets::one_each;
    /// What the storm was sent with: known, it tells whose source was translated.
    std::optional<SendOptions> sender;
    /// Ends after so long without a probe, once all arrived or the sender is said to have ended.
    std::chrono::milliseconds idle{500};
    std::chrono::seconds limit{120};  ///< ends then in any case
};

struct ReceiveResult {
    LedgerSummary summary;
    /// Probes that arrived from another address or port than they left with; 0 if nobody knows.
    std::uint64_t changed_sources = 0;
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
