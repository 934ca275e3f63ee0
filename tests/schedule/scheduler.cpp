// SPDX-License-Identifier: Apache-2.0
#include "tests/schedule/scheduler.hpp"

#include <optional>
#include <utility>

#include "tests/schedule/failure.hpp"

namespace noclash::schedule {
namespace {

/// Stacks outlive a run: the next one uses them again.
Fiber& fiber_of(unsigned worker) {
    static constexpr std::size_t stack_bytes = std::size_t{256} * 1024;
    static std::array<std::unique_ptr<Fiber>, Scheduler::most_workers> fibers;
    if (!fibers[worker]) fibers[worker] = std::make_unique<Fiber>(stack_bytes);
    return *fibers[worker];
}

}  // namespace

Scheduler* Scheduler::active = nullptr;
Scheduler* Scheduler::current = nullptr;

void Scheduler::spawn(std::function<void()> body) {
    if (workers_.size() == most_workers) fail("too many workers");
    workers_.push_back({std::move(body), 0, 0, false});
}

void Scheduler::run() {
    strategy_ = draw_strategy(static_cast<unsigned>(workers_.size()), random_);
    for (unsigned worker = 0; worker < workers_.size(); ++worker)
        fiber_of(worker).prepare(&Scheduler::enter, this);
    current = this;
    std::optional<Abandoning> abandoning;
    if (kill_at_ != ~0ULL) abandoning.emplace();
    for (int phase = 0; phase < 2 && !killed_; ++phase) {
        if (const unsigned first = choose(); first != nobody) {
            running_ = first;
            active = this;
            fiber_of(first).go_on(main_);
        }
        strategy_->wake();
    }
    active = nullptr;
    current = nullptr;
    running_ = nobody;
}

void Scheduler::enter(void* scheduler) {
    auto& self = *static_cast<Scheduler*>(scheduler);
    Worker& me = self.workers_[self.running_];
    me.body();
    me.ended = true;
    self.look();
    const unsigned ended = self.running_;
    const unsigned next = self.choose();
    self.running_ = next;
    (next == nobody ? self.main_ : fiber_of(next)).end(fiber_of(ended));
}

void Scheduler::point() {
    look();
    if (steps_ >= kill_at_) kill();
    if (++steps_ > most_steps) fail("no worker waits: this one goes on and on");
    ++workers_[running_].steps;
    const unsigned next = choose();
    if (next != running_) go_on_with(next);
}

void Scheduler::kill() {
    killed_ = true;
    main_.end(fiber_of(running_));
}

void Scheduler::go_on_with(unsigned worker) {
    const unsigned me = std::exchange(running_, worker);
    (worker == nobody ? main_ : fiber_of(worker)).go_on(fiber_of(me));
}

unsigned Scheduler::choose() {
    unsigned runnable = 0;
    for (unsigned worker = 0; worker < workers_.size(); ++worker)
        if (!workers_[worker].ended) runnable |= 1U << worker;
    return runnable == 0 ? nobody : strategy_->next(runnable, running_);
}

void Scheduler::look() {
    if (!std::exchange(wrote_, false) || observer_ == nullptr) return;
    const Unseen unseen;
    observer_->look();
}

void Scheduler::done(const Access& access) {
    fingerprint_ =
        SeededRandom::mix(fingerprint_ ^ (access.after + (access.wrote ? 1U : 0U))) + running_ + 1;
    if (access.wrote) {
        wrote_ = true;
        ++writes_;
        ++workers_[running_].writes;
    }
    if (!tracing_ || observer_ == nullptr) return;
    const Unseen unseen;
    observer_->show(running_, steps_, access);
}

}  // namespace noclash::schedule
