// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace noclash::dpdk {

/// Thrown by `ResponseWriter` when nobody reads any more: the client left, stalled, or had to give
/// its place to another client, or the server stops. A handler lets it pass.
class ClientGone : public std::runtime_error {
  public:
    ClientGone() : std::runtime_error("the client is gone") {}
};

/// The present activity of a connection, and since when. Its own thread writes; the thread that
/// admits clients reads, and chooses by it which client has to leave.
class ClientActivity {
  public:
    /// In the order in which clients have to leave.
    enum class Kind : std::uint8_t { awaits_request, awaits_reader, works };
    using Clock = std::chrono::steady_clock;

    struct State {
        Kind kind;
        std::chrono::nanoseconds since;                  ///< of `Clock`
        auto operator<=>(const State&) const = default;  // NOLINT(modernize-use-nullptr)
    };

    void begin(Kind kind) {
        const auto now = static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
        state_.store(now << 2 | static_cast<std::uint64_t>(kind), std::memory_order_relaxed);
    }
    [[nodiscard]] State state() const {
        const std::uint64_t both = state_.load(std::memory_order_relaxed);
        return {static_cast<Kind>(both & 3), std::chrono::nanoseconds(both >> 2)};
    }
    void send_away() { sent_away_.store(true, std::memory_order_relaxed); }
    [[nodiscard]] bool is_sent_away() const { return sent_away_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> state_{0};  ///< time and kind in one word: they belong together
    std::atomic<bool> sent_away_{false};
};

/// Takes the rows of one answer. Used by the handler's own thread only.
class ResponseWriter {
  public:
    /// `timeout_ms`: so long may the client read nothing.
    ResponseWriter(int socket, int timeout_ms, ClientActivity& activity);
    ResponseWriter(const ResponseWriter&) = delete;
    ResponseWriter& operator=(const ResponseWriter&) = delete;

    /// Adds a row; `json_text` is one JSON value without a line break. Buffers, so that a dump
    /// costs a system call for each 64 KiB, and blocks while the client reads slowly.
    /// @throws ClientGone
    void row(std::string_view json_text);

    /// For handlers that are long without a row: sends a sign of life once a second, an empty line.
    /// @throws ClientGone  also when another client needs the place
    void at_work();

    /// The last line of the answer, and the flush. Called by the server.
    void finish();
    void fail(std::string_view what);

  private:
    void flush();
    void await_reader();

    int socket_;
    int timeout_ms_;
    ClientActivity& activity_;
    ClientActivity::Clock::time_point sent_;
    std::size_t rows_ = 0;
    std::string buffer_;
};

}  // namespace noclash::dpdk
