// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "nat/conntrack/flow_marks.hpp"
#include "nat/conntrack/syn_options.hpp"
#include "nat/conntrack/tcp_state.hpp"

namespace noclash::nat {

/// Whether the flow's backend has still to answer. While `syn_recv`, a worker is just taking its
/// answer: that is no `is_proxied_opening` any more, which may be adopted and lives by its SYN.
[[nodiscard]] constexpr bool is_waiting(TcpProgress progress) {
    return progress.is_proxied() &&
           (progress.state() == TcpState::syn_sent || progress.state() == TcpState::syn_recv);
}

/// Whether the flow was over before its backend had answered. Its client may believe in it still.
template <class Record>
[[nodiscard]] bool never_opened(const Record& flow) {
    const TcpProgress progress = tcp_progress(flow);
    return progress.is_proxied() && progress.state() == TcpState::close &&
           (flow.marks.load(std::memory_order_relaxed) & flow_mark::assured) == 0;
}

/// Whether segments of a TCP flow are shifted.
template <class Record>
[[nodiscard]] bool is_shifted(const Record& flow) {
    const TcpProgress progress = tcp_progress(flow);
    return progress.is_proxied() && !is_waiting(progress);
}

/// `flow_memory::proxied_syn`: what the SYN to the backend says, and how often it went.
struct ProxiedSyn {
    static constexpr std::uint32_t sack = 1U << 16U, timestamps = 1U << 17U;
    static constexpr unsigned hurried_at = 18, retries_at = 24;
    static constexpr std::uint32_t hurried_mask = (1U << retries_at) - (1U << hurried_at);

    [[nodiscard]] static std::uint32_t word(const SynOptions& client) {
        return client.max_segment_size | (client.sack ? sack : 0) |
               (client.timestamps ? timestamps : 0);
    }
    [[nodiscard]] static std::uint32_t retries(std::uint32_t word) { return word >> retries_at; }
    [[nodiscard]] static std::uint32_t after_retry(std::uint32_t word) {
        return (word & ~hurried_mask) + (1U << retries_at);
    }
    /// SYNs that were sent before their time, since the last one that was in time.
    [[nodiscard]] static std::uint32_t hurried(std::uint32_t word) {
        return (word & hurried_mask) >> hurried_at;
    }
    [[nodiscard]] static std::uint32_t after_hurry(std::uint32_t word) {
        return word + (1U << hurried_at);
    }
};

}  // namespace noclash::nat
