// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "dpdk/config/config.hpp"
#include "tools/cpsload/clock.hpp"
#include "tools/cpsload/pace.hpp"
#include "tools/cpsload/progress.hpp"
#include "tools/cpsload/tester.hpp"

namespace noclash::cpsload {

/// The load of a run; it ends with the first limit that is reached.
struct Load {
    std::string name;
    Schedule schedule;
    std::uint64_t connections = UINT64_MAX;
    Time duration = UINT64_MAX;
    /// Ends the run early when so many connections were lost.
    std::uint64_t most_lost = UINT64_MAX;
    /// The same for those that needed a retransmission.
    std::uint64_t most_troubled = UINT64_MAX;
    /// How long to wait for connections in flight at the end; they may take minutes to be lost.
    Time patience = UINT64_MAX;
};

/// How long it took, and what the tester itself left out.
struct Lapse {
    Time opening = 0;          ///< from the first to the last opening
    Time all = 0;              ///< until nothing was in flight any more
    Time cpu = 0;              ///< of these, the tester's thread had a CPU
    std::uint64_t missed = 0;  ///< connections that were due and not opened: the tester came late
};

/// Drives a `Tester` until a load is done. One thread: the only one that touches the ledger.
class Runner {
  public:
    Runner(Ledger& ledger, Tester& tester, const Clock& clock, dpdk::Idle idle,
           const std::atomic<bool>& stop, Progress& progress)
        : ledger_(ledger),
          tester_(tester),
          clock_(clock),
          idle_(idle),
          stop_(stop),
          progress_(progress) {}

    /// Opens connections, and waits for their end; those of kind `hold` are held then.
    Lapse run(const Load& load);
    /// Asks all connections that are held, or closes them, and waits for the answers.
    Lapse ask_held(const Schedule& schedule);
    Lapse close_held(const Schedule& schedule);

    /// Serves what comes late, for so long.
    void rest(Time duration);

    [[nodiscard]] bool stopped() const { return stop_.load(std::memory_order_relaxed); }

  private:
    template <class Begin>
    Lapse drive(const std::string& name, const Schedule& schedule, Time patience,
                const Begin& begin);
    template <class Act>
    Lapse visit_held(const std::string& name, const Schedule& schedule, const Act& act);
    void nap(bool worked);
    [[nodiscard]] Time longest_wait() const;

    Ledger& ledger_;
    Tester& tester_;
    const Clock& clock_;
    dpdk::Idle idle_;
    const std::atomic<bool>& stop_;
    Progress& progress_;
    std::uint32_t empty_turns_ = 0;
};

}  // namespace noclash::cpsload
