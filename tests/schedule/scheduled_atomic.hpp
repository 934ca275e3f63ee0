// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

#include "tests/schedule/scheduler.hpp"

namespace noclash::schedule {

/// An atomic whose accesses are the steps of a schedule. Memory orders are taken and not used.
template <class T>
class ScheduledAtomic {
  public:
    ScheduledAtomic() = default;
    ScheduledAtomic(T value)
        : value_(value) {}  // NOLINT(google-explicit-constructor): as std::atomic

    [[nodiscard]] T load(std::memory_order = std::memory_order_seq_cst) const {
        scheduling_point();
        access_done(access("load", value_, value_, false));
        return value_;
    }
    void store(T value, std::memory_order = std::memory_order_seq_cst) { replace("store", value); }
    T exchange(T value, std::memory_order = std::memory_order_seq_cst) {
        return replace("exchange", value);
    }

    template <class... Orders>
    bool compare_exchange_strong(T& expected, T value, Orders...) {
        scheduling_point();
        return compare_exchange(expected, value);
    }
    template <class... Orders>
    bool compare_exchange_weak(T& expected, T value, Orders...) {
        scheduling_point();
        if (Scheduler::active != nullptr && Scheduler::active->fails_for_no_reason()) {
            access_done(access("cas fails for no reason", value_, value_, false));
            expected = value_;
            return false;
        }
        return compare_exchange(expected, value);
    }

    T fetch_add(T n, std::memory_order = std::memory_order_seq_cst) {
        return modify("fetch_add", [n](T value) { return static_cast<T>(value + n); });
    }
    T fetch_sub(T n, std::memory_order = std::memory_order_seq_cst) {
        return modify("fetch_sub", [n](T value) { return static_cast<T>(value - n); });
    }
    T fetch_or(T bits, std::memory_order = std::memory_order_seq_cst) {
        return modify("fetch_or", [bits](T value) { return static_cast<T>(value | bits); });
    }
    T fetch_and(T bits, std::memory_order = std::memory_order_seq_cst) {
        return modify("fetch_and", [bits](T value) { return static_cast<T>(value & bits); });
    }

  private:
    Access access(const char* what, T before, T after, bool wrote) const {
        return {what,
                this,
                sizeof(T),
                static_cast<std::uint64_t>(before),
                static_cast<std::uint64_t>(after),
                wrote};
    }
    template <class Change>
    T modify(const char* what, Change change) {
        scheduling_point();
        const T before = value_;
        value_ = change(before);
        access_done(access(what, before, value_, true));
        return before;
    }
    T replace(const char* what, T value) {
        return modify(what, [value](T) { return value; });
    }
    bool compare_exchange(T& expected, T value) {
        const T before = value_;
        if (before != expected) {
            access_done(access("cas fails", before, before, false));
            expected = before;
            return false;
        }
        value_ = value;
        access_done(access("cas", before, value, true));
        return true;
    }

    T value_{};
};

}  // namespace noclash::schedule
