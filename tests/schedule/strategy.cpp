// SPDX-License-Identifier: Apache-2.0
#include "tests/schedule/strategy.hpp"

#include <array>
#include <bit>
#include <utility>

namespace noclash::schedule {
namespace {

unsigned count(unsigned set) {
    return static_cast<unsigned>(std::popcount(set));
}

unsigned nth(unsigned set, unsigned n) {
    for (; n > 0; --n)
        set &= set - 1;
    return static_cast<unsigned>(std::countr_zero(set));
}

bool contains(unsigned set, unsigned worker) {
    return worker != nobody && (set >> worker & 1U) != 0;
}

/// Goes on with the worker that runs, but for one step in `stretch`, where it draws one.
struct Draw {
    std::uint32_t stretch;
    SeededRandom random;

    unsigned next(unsigned runnable, unsigned running) {
        if (contains(runnable, running) && !random.one_in(stretch)) return running;
        return nth(runnable, random.below(count(runnable)));
    }
};

class Uniform : public Strategy {
  public:
    explicit Uniform(Draw draw) : draw_(draw) {}
    unsigned next(unsigned runnable, unsigned running) override {
        return draw_.next(runnable, running);
    }
    [[nodiscard]] const char* name() const override { return "uniform"; }

  private:
    Draw draw_;
};

/// Always the worker of highest priority; at a few places drawn beforehand the one that runs
/// becomes the lowest. Finds a fault that needs d switches at certain places with a probability
/// that has a lower bound (Burckhardt et al., "A randomized scheduler with probabilistic guarantees
/// of finding bugs", 2010).
class Priorities : public Strategy {
  public:
    Priorities(unsigned workers, std::uint64_t seed) {
        SeededRandom random(seed);
        for (unsigned i = 0; i < workers; ++i)
            priority_[i] = most_changes + i;
        for (unsigned i = workers; i > 1; --i)
            std::swap(priority_[i - 1], priority_[random.below(i)]);
        changes_ = 1 + random.below(most_changes);
        const std::uint32_t horizon = 16U << random.below(7);  // runs differ in length
        for (unsigned i = 0; i < changes_; ++i)
            change_at_[i] = random.below(horizon);
    }

    unsigned next(unsigned runnable, unsigned running) override {
        for (unsigned i = 0; i < changes_; ++i)
            if (change_at_[i] == step_ && running != nobody) priority_[running] = i;
        ++step_;
        unsigned best = nobody;
        for (unsigned set = runnable; set != 0; set &= set - 1) {
            const auto worker = static_cast<unsigned>(std::countr_zero(set));
            if (best == nobody || priority_[worker] > priority_[best]) best = worker;
        }
        return best;
    }
    [[nodiscard]] const char* name() const override { return "priorities"; }

  private:
    static constexpr unsigned most_changes = 4;
    std::array<unsigned, 32> priority_{};
    std::array<std::uint32_t, most_changes> change_at_{};
    unsigned changes_ = 0;
    std::uint32_t step_ = 0;
};

/// One worker makes a number of steps and then none: for long, or until it is woken, which is when
/// nobody else has anything left to do.
class Stall : public Strategy {
  public:
    Stall(unsigned workers, Draw others, SeededRandom& random)
        : others_(others), victim_(random.below(workers)) {
        const std::uint32_t horizon = 4U << random.below(7);
        steps_before_ = random.below(horizon);
        steps_away_ = random.one_in(2) ? for_ever : 8U << random.below(6);
    }

    unsigned next(unsigned runnable, unsigned running) override {
        const bool away = steps_before_ == 0 && steps_away_ > 0;
        if (away && steps_away_ != for_ever) --steps_away_;
        const unsigned ready = away ? runnable & ~(1U << victim_) : runnable;
        if (ready == 0 && steps_away_ == for_ever) return nobody;
        const unsigned chosen = others_.next(ready != 0 ? ready : runnable, running);
        if (chosen == victim_ && steps_before_ > 0) --steps_before_;
        return chosen;
    }
    void wake() override { steps_away_ = 0; }
    [[nodiscard]] const char* name() const override { return "stall"; }

  private:
    static constexpr std::uint32_t for_ever = ~0U;
    Draw others_;
    unsigned victim_;
    std::uint32_t steps_before_ = 0;
    std::uint32_t steps_away_ = 0;
};

}  // namespace

// Draws stand in statements of their own: in which order arguments are evaluated is the compiler's
// choice, and a seed means the same with every compiler.
std::unique_ptr<Strategy> draw_strategy(unsigned workers, SeededRandom& random) {
    const std::uint32_t which = random.below(4);
    const std::uint64_t seed = random.next();
    const std::uint32_t stretch = 1U << random.below(6);
    switch (which) {
        case 0:
            return std::make_unique<Uniform>(Draw{1, SeededRandom(seed)});
        case 1:
            return std::make_unique<Uniform>(Draw{stretch, SeededRandom(seed)});
        case 2:
            return std::make_unique<Priorities>(workers, seed);
        default:
            return std::make_unique<Stall>(workers, Draw{stretch, SeededRandom(seed)}, random);
    }
}

}  // namespace noclash::schedule
