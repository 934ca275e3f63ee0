// SPDX-License-Identifier: Apache-2.0
#pragma once

// Atomics that let a test interrupt one operation by another before any chosen atomic access, on
// one thread: what a preempted worker and a fast one do to each other, without luck. A test that
// runs through all places has seen every interleaving with one interruption.

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <utility>

#include "engine/production.hpp"

namespace noclash::test {

/// An act that happens once, after so many atomic accesses.
struct Interruption {
    std::function<void()> act;
    unsigned accesses_before = 0;
    bool happened = false;
};
inline Interruption interruption;

inline void interrupt(unsigned accesses_before, std::function<void()> act) {
    interruption = {std::move(act), accesses_before, false};
}
/// From here on nothing interrupts. Whether something did.
inline bool calm() {
    interruption.act = nullptr;
    return interruption.happened;
}

inline void step() {
    if (!interruption.act || interruption.accesses_before-- > 0) return;
    interruption.happened = true;
    const auto act = std::exchange(interruption.act, nullptr);
    act();
}

template <class T>
class SteppedAtomic {
  public:
    SteppedAtomic() = default;
    SteppedAtomic(T value)
        : value_(value) {}  // NOLINT(google-explicit-constructor): as std::atomic

    T load(std::memory_order order = std::memory_order_seq_cst) const {
        step();
        return value_.load(order);
    }
    void store(T value, std::memory_order order = std::memory_order_seq_cst) {
        step();
        value_.store(value, order);
    }
    template <class... Orders>
    bool compare_exchange_weak(T& expected, T value, Orders... orders) {
        step();
        return value_.compare_exchange_strong(expected, value, orders...);
    }
    template <class... Orders>
    bool compare_exchange_strong(T& expected, T value, Orders... orders) {
        return compare_exchange_weak(expected, value, orders...);
    }
    T fetch_or(T bits, std::memory_order order) {
        step();
        return value_.fetch_or(bits, order);
    }
    T fetch_and(T bits, std::memory_order order) {
        step();
        return value_.fetch_and(bits, order);
    }
    T fetch_add(T n, std::memory_order order) {
        step();
        return value_.fetch_add(n, order);
    }
    T fetch_sub(T n, std::memory_order order) {
        step();
        return value_.fetch_sub(n, order);
    }

  private:
    std::atomic<T> value_{};
};

struct Stepped {
    template <class T>
    using Atomic = SteppedAtomic<T>;
    using Quiescence = QsbrQuiescence;
    using Hash = TupleHash;
    /// Two windows of places: each interruption has a gateway of its own.
    static constexpr std::size_t occupancy_maps = 16;
};

/// Runs `scene(n)` for n = 0, 1, ... until what it armed by `interrupt(n, ..)` finds no place any
/// more, three times in a row: a scene that draws random numbers may be short by chance. Returns
/// how many places there were.
template <class Scene>
unsigned at_every_step(Scene&& scene) {
    unsigned places = 0;
    for (unsigned n = 0; n < places + 3 && !testing::Test::HasFatalFailure(); ++n) {
        scene(n);
        if (calm()) places = n + 1;
    }
    return places;
}

}  // namespace noclash::test
