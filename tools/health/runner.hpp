// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <unordered_map>

#include "tools/health/curl_prober.hpp"
#include "tools/health/datagram_prober.hpp"
#include "tools/health/event_loop.hpp"
#include "tools/health/prober.hpp"
#include "tools/health/schedule.hpp"

namespace noclash::health {

/// Checks targets at their times, and tells what came of each check. Of one thread.
class Runner {
  public:
    /// @param on_end  told of the checks of those targets only that were not removed meanwhile; may
    /// add and remove targets
    /// @throws std::runtime_error
    Runner(Ceilings ceilings, OnEnd on_end);

    [[nodiscard]] EventLoop& loop() { return loop_; }
    [[nodiscard]] const Schedule& schedule() const { return schedule_; }

    /// Checks a target at the interval of `check`, which outlives the runner, from now on.
    TargetId add(const Check& check, const Endpoint& endpoint);
    /// Checks a target once, as soon as the ceilings allow.
    TargetId add_once(const Check& check, const Endpoint& endpoint);
    void remove(TargetId id);

    /// Begins what is due, and waits for what happens next, `until_ns` at the latest.
    void turn(std::uint64_t until_ns);

  private:
    struct Target {
        const Check* check;
        Endpoint endpoint;
    };

    TargetId insert(const Check& check, const Endpoint& endpoint);
    void begin_due();
    void end(TargetId id, Outcome outcome);

    OnEnd on_end_;
    EventLoop loop_;
    Schedule schedule_;
    std::unordered_map<TargetId, Target> targets_;
    TargetId last_id_ = 0;
    CurlProber curl_;
    DatagramProber datagrams_;
};

}  // namespace noclash::health
