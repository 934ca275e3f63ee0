// SPDX-License-Identifier: Apache-2.0
#pragma once

// # A deterministic scheduler
//
// Several virtual workers on one thread. Before each access to a `ScheduledAtomic` the worker stops
// at a scheduling point, where the strategy decides who goes on; nothing else switches. So a run is
// a sequence of accesses, one after the other, and follows from the seed alone: the same seed gives
// the same run, on any machine.
//
// Interleavings are sequentially consistent: what weaker memory orders allow beyond them is
// ThreadSanitizer's affair (tests of suite `tsan`). `compare_exchange_weak` does fail for no reason
// now and then, as it may.
//
// An observer looks at the truth between two steps: what it loads is no step.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "tests/schedule/fiber.hpp"
#include "tests/schedule/seeded_random.hpp"
#include "tests/schedule/strategy.hpp"

namespace noclash::schedule {

/// One access to a shared word, or one call of the quiescence.
struct Access {
    const char* what;          ///< "load", "store", ...
    const void* place;         ///< the word
    std::size_t bytes;         ///< its size
    std::uint64_t before = 0;  ///< its value
    std::uint64_t after = 0;
    bool wrote = false;
};

class Observer {
  public:
    Observer() = default;
    Observer(const Observer&) = delete;
    Observer& operator=(const Observer&) = delete;
    virtual ~Observer() = default;
    /// After every access that wrote something, before the next one.
    virtual void look() = 0;
    /// After every access; only when `Scheduler::trace` was called.
    virtual void show(unsigned worker, std::uint64_t step, const Access& access) = 0;
};

class Scheduler {
  public:
    static constexpr unsigned most_workers = 4;

    explicit Scheduler(std::uint64_t seed) : random_(seed), chance_(random_.next()) {}
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    void observe(Observer& observer) { observer_ = &observer; }
    void trace() { tracing_ = true; }
    void spawn(std::function<void()> body);

    /// All workers stop for ever before step `step`, as when their process is killed: what they had
    /// on their stacks is never seen again.
    void kill_at(std::uint64_t step) { kill_at_ = step; }
    /// Whether that came before they had ended.
    [[nodiscard]] bool killed() const { return killed_; }

    /// Runs all workers until they have ended, first without waking one that stalled for good: then
    /// the others have to end without it.
    void run();

    [[nodiscard]] std::uint64_t steps() const { return steps_; }
    /// The worker that is running; `nobody` outside of `run`.
    [[nodiscard]] unsigned running() const { return running_; }
    [[nodiscard]] std::uint64_t steps_of(unsigned worker) const { return workers_[worker].steps; }
    /// Writes by all workers but one.
    [[nodiscard]] std::uint64_t writes_beside(unsigned worker) const {
        return writes_ - workers_[worker].writes;
    }
    /// Two runs with the same fingerprint made the same accesses in the same order.
    [[nodiscard]] std::uint64_t fingerprint() const { return fingerprint_; }
    [[nodiscard]] const char* strategy() const { return strategy_->name(); }

    /// A scheduling point: called by a worker before it accesses what is shared.
    void point();
    /// Called after the access.
    void done(const Access& access);
    bool fails_for_no_reason() { return chance_.one_in(16); }

    /// Set while a worker runs; null while the observer looks, and outside of `run`.
    static Scheduler* active;
    /// Set during `run`.
    static Scheduler* current;

  private:
    static constexpr std::uint64_t most_steps = 200'000;

    struct Worker {
        std::function<void()> body;
        std::uint64_t steps = 0;
        std::uint64_t writes = 0;
        bool ended = false;
    };

    static void enter(void* scheduler);
    [[nodiscard]] unsigned choose();
    void go_on_with(unsigned worker);
    void look();
    [[noreturn]] void kill();

    SeededRandom random_;
    SeededRandom chance_;
    std::unique_ptr<Strategy> strategy_;
    Observer* observer_ = nullptr;
    std::vector<Worker> workers_;
    Fiber main_;
    unsigned running_ = nobody;
    std::uint64_t steps_ = 0;
    std::uint64_t writes_ = 0;
    std::uint64_t fingerprint_ = 0;
    std::uint64_t kill_at_ = ~0ULL;
    bool killed_ = false;
    bool wrote_ = false;
    bool tracing_ = false;
};

/// While it lives, accesses are no steps: the observer's.
class Unseen {
  public:
    Unseen() = default;
    ~Unseen() { Scheduler::active = active_; }
    Unseen(const Unseen&) = delete;
    Unseen& operator=(const Unseen&) = delete;

  private:
    Scheduler* active_ = std::exchange(Scheduler::active, nullptr);
};

/// Stands before and after each access outside of `Scheduler`.
inline void scheduling_point() {
    if (Scheduler::active != nullptr) Scheduler::active->point();
}
inline void access_done(const Access& access) {
    if (Scheduler::active != nullptr) Scheduler::active->done(access);
}

}  // namespace noclash::schedule
