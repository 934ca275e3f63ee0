// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace noclash::dpdk {

/// Keeps the callbacks of memif devices, which run on DPDK's interrupt thread, away from the
/// threads that use the devices (here: users), and from the main thread that closes them.
///
/// When a peer leaves, the memif driver of DPDK 22.11 unmaps the shared memory on the interrupt
/// thread, whether or not a worker is reading a ring in it: the driver has no lock and asks nobody.
/// And a device that is closed while that thread takes its peer's leave is torn down by both. Last,
/// `rte_eal_cleanup` unmaps what the interrupt thread, which nobody stops, still walks over:
/// interrupt handles of memif sockets lie in DPDK's memory. Each ends in SIGSEGV.
///
/// The gate is a callback of ours, on an event descriptor that is ready whenever the interrupt
/// thread is not inside: so it is inside nearly all the time, and in no other callback. There it
/// waits until another of its descriptors is ready, then announces a *window*, waits until each
/// user has seen it, and returns. The thread runs the callbacks that are due, and at once comes
/// back and closes the window. While one is open, users leave memif devices alone: packets wait in
/// the rings of the peers. A window takes as long as the longest round or nap of a user and the
/// callbacks take; it opens only when there is something to do, and never sooner than a millisecond
/// after the one before, so that a peer that comes and goes takes little from the others.
///
/// `phase` counts openings and closings; it is odd while a window is open. Users copy it into their
/// slot (release) after their last use of a device; the gate reads the slots (acquire) before it
/// returns: what users did happens before the callbacks. The gate closes with a release that the
/// users acquire: what the callbacks did happens before the next use. A user that joins writes its
/// slot and then reads `phase`, the gate writes `phase` and then reads the slot, each with a fence
/// between (seq_cst): one of the two sees the other.
///
/// In the end the thread stays in the gate (`~InterruptGate`), until the process is no more.
class InterruptGate {
  public:
    /// A window is open until the interrupt thread comes by for the first time.
    /// @throws std::runtime_error
    explicit InterruptGate(std::uint16_t users);
    InterruptGate(const InterruptGate&) = delete;
    InterruptGate& operator=(const InterruptGate&) = delete;
    /// Returns when the interrupt thread is in the gate, for good: no callback of a driver runs any
    /// more, so that devices can be closed and DPDK be cleaned up. The users must have left.
    ~InterruptGate();

    /// Windows wait for `user` from now on: its thread is about to call `window` again and again.
    /// Each is a thread, or a device that a thread uses; none joins twice without leaving.
    void join(std::uint16_t user) noexcept {
        slots_[user].seen.store(0, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);  // (65)
    }

    /// At the beginning of each round of `user`, on its thread.
    /// @return whether it must leave memif devices alone until the next call
    [[nodiscard]] bool window(std::uint16_t user) noexcept {
        const std::uint64_t phase = phase_->load(std::memory_order_acquire);  // (64)
        std::atomic<std::uint64_t>& seen = slots_[user].seen;
        if (seen.load(std::memory_order_relaxed) != phase) [[unlikely]]
            seen.store(phase, std::memory_order_release);  // (61)
        return phase % 2 != 0;
    }

    /// After the last round of `user`, on its thread: windows wait for it no longer.
    void leave(std::uint16_t user) noexcept {
        slots_[user].seen.store(left, std::memory_order_release);  // (61)
    }

  private:
    static constexpr std::uint64_t left = ~std::uint64_t{0};

    struct alignas(64) Slot {
        std::atomic<std::uint64_t> seen{left};
    };
    struct State;

    static void callback(void* state);
    static void wait(State& state);
    static bool open(State& state);
    [[noreturn]] static void stay(State& state);

    State* state_;  ///< never freed: the interrupt thread stays in it
    const std::atomic<std::uint64_t>* phase_;
    Slot* slots_;
};

}  // namespace noclash::dpdk
