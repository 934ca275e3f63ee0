// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "engine/base/address.hpp"

namespace noclash::dpdk {

enum class PortState : std::uint8_t {
    up,
    down,    ///< no carrier: what it is given would be lost, so it is given nothing
    closed,  ///< it has no device at the moment: workers must not touch it
};

/// Which ports the workers may use. One thread, the link monitor, says so while they run; they look
/// once a round whether it said anything new, so packets pay nothing.
///
/// `epoch` counts what was said. A worker that sees a new epoch (acquire) takes over all states,
/// and then writes the epoch into its slot (release): what it did by the earlier states happens
/// before `set` returns, which reads the slots (acquire). So after `set(port, closed)` the device
/// may be closed; and what the monitor wrote before `set(port, up)` is seen by all who use the
/// port. A worker that joins writes its slot and then reads the epoch, `set` writes the epoch and
/// then reads the slot, each with a fence between (seq_cst): one of the two sees the other.
class PortStates {
  public:
    PortStates(std::size_t ports, std::uint16_t workers) : ports_(ports), slots_(workers) {}

    // The link monitor's.

    /// Returns when no worker goes by the earlier state any more; calls `wait` meanwhile, again and
    /// again. `ask`: neighbours on a port that is up, to be asked for again.
    void set(std::uint16_t port, PortState state, const std::function<void()>& wait,
             std::vector<V4Address> ask = {}) {
        // All workers have seen the epoch before: none reads `ask` now.
        ports_[port].ask = std::move(ask);
        ports_[port].state.store(state, std::memory_order_relaxed);
        const std::uint64_t epoch = epoch_.fetch_add(1, std::memory_order_release) + 1;  // (68)
        std::atomic_thread_fence(std::memory_order_seq_cst);                             // (72)
        for (const Slot& slot : slots_) {
            for (;;) {
                const std::uint64_t seen = slot.seen.load(std::memory_order_acquire);  // (71)
                if (seen == epoch || seen == left) break;
                wait();
            }
        }
    }

    // A worker's.

    /// `set` waits for it from now on: it is about to look at `epoch` again and again.
    void join(std::uint16_t worker) noexcept {
        slots_[worker].seen.store(0, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);  // (72)
    }
    void leave(std::uint16_t worker) noexcept {
        slots_[worker].seen.store(left, std::memory_order_release);  // (70)
    }
    /// Never 0.
    [[nodiscard]] std::uint64_t epoch() const noexcept {
        return epoch_.load(std::memory_order_acquire);  // (69)
    }
    /// The worker goes by the states that it read since it saw `epoch`.
    void seen(std::uint16_t worker, std::uint64_t epoch) noexcept {
        slots_[worker].seen.store(epoch, std::memory_order_release);  // (70)
    }

    /// Between `epoch` and `seen`.
    [[nodiscard]] PortState state(std::uint16_t port) const noexcept {
        return ports_[port].state.load(std::memory_order_relaxed);
    }
    /// Likewise.
    [[nodiscard]] const std::vector<V4Address>& ask(std::uint16_t port) const noexcept {
        return ports_[port].ask;
    }

  private:
    static constexpr std::uint64_t left = ~std::uint64_t{0};

    struct PortOf {
        std::atomic<PortState> state{PortState::up};
        std::vector<V4Address> ask;
    };
    struct alignas(64) Slot {
        std::atomic<std::uint64_t> seen{left};
    };

    std::atomic<std::uint64_t> epoch_{1};
    std::vector<PortOf> ports_;
    std::vector<Slot> slots_;
};

}  // namespace noclash::dpdk
