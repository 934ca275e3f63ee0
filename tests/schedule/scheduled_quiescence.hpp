// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/traits.hpp"
#include "tests/schedule/failure.hpp"
#include "tests/schedule/scheduler.hpp"

namespace noclash::schedule {

/// Quiescent states counted exactly: a token passes with the very step in which the last of the
/// readers that were online at its start says that it is quiescent, or goes offline. An
/// implementation may be slower, none may be faster; so whatever relies on more than it may breaks
/// here.
class ScheduledQuiescence {
  public:
    explicit ScheduledQuiescence(unsigned readers) : readers_(readers) {
        if (readers > 32) fail("too many readers");
    }

    [[nodiscard]] std::uint64_t start() {
        scheduling_point();
        awaited_.push_back(online_);
        access_done(access("grace period starts", awaited_.size() - 1));
        return awaited_.size() - 1;
    }
    [[nodiscard]] bool passed(std::uint64_t token) {
        scheduling_point();
        if (token >= awaited_.size()) fail("a grace period that never started was asked for");
        const bool over = awaited_[token] == 0;
        access_done(access(over ? "grace period is over" : "grace period runs", token));
        return over;
    }
    void quiescent(unsigned reader) {
        scheduling_point();
        report(reader);
        access_done(access("quiescent", reader));
    }
    void online(unsigned reader) {
        scheduling_point();
        online_ |= 1U << reader;
        access_done(access("online", reader));
    }
    void offline(unsigned reader) {
        scheduling_point();
        online_ &= ~(1U << reader);
        report(reader);
        access_done(access("offline", reader));
    }
    [[nodiscard]] unsigned readers() const { return readers_; }

  private:
    void report(unsigned reader) {
        for (std::uint32_t& awaited : awaited_)
            awaited &= ~(1U << reader);
    }
    Access access(const char* what, std::uint64_t value) const {
        return {what, this, sizeof *this, value, value, true};
    }

    unsigned readers_;
    std::uint32_t online_ = 0;            ///< bit i: reader i
    std::vector<std::uint32_t> awaited_;  ///< of each token: readers that have not reported yet
};

static_assert(Quiescence<ScheduledQuiescence>);

}  // namespace noclash::schedule
