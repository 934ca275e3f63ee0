// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/runner.hpp"

#include <time.h>

#include <algorithm>
#include <optional>

namespace noclash::cpsload {
namespace {

constexpr std::uint32_t openings_a_turn = 4 * burst;
constexpr std::uint32_t turns_before_nap = 4;
constexpr long nap_ns = 20'000;
constexpr Time drain_after_interrupt = second;
constexpr std::uint32_t most_held_due = 512;  // held connections that are asked or closed at a time

Time cpu_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<Time>(time.tv_sec) * second + static_cast<Time>(time.tv_nsec);
}

}  // namespace

void Runner::nap(bool worked) {
    empty_turns_ = worked ? 0 : empty_turns_ + 1;
    if (idle_ == dpdk::Idle::poll || empty_turns_ < turns_before_nap) return;
    const timespec duration{0, nap_ns};
    ::nanosleep(&duration, nullptr);
}

/// Until the last retransmission of a packet sent now is given up.
Time Runner::longest_wait() const {
    return (ledger_.settings.rto << (ledger_.settings.retries + 1)) + second;
}

/// `begin(due, now)` begins up to `due` things and returns how many, or nothing when it is done.
template <class Begin>
Lapse Runner::drive(const std::string& name, const Schedule& schedule, Time patience,
                    const Begin& begin) {
    const Time start = clock_.now();
    const Time cpu_before = cpu_time();
    progress_.start(name, start, ledger_.counters);
    Pace pace(schedule, start);
    Lapse lapse;
    std::optional<Time> begun;  // everything, at this moment
    // A connection has several packets to repeat.
    patience = std::min(patience, longest_wait() * 4);
    for (;;) {
        const Time now = clock_.now();
        bool worked = tester_.turn(now);
        progress_.tick(now, ledger_.counters, ledger_.connections.live());
        if (!begun) {
            const std::uint32_t due = pace.due(now, openings_a_turn);
            const std::optional<std::uint32_t> count = stopped() ? std::nullopt : begin(due, now);
            if (!count) begun = now;
            pace.put_back(due - count.value_or(0));
            if (count.value_or(0) > 0) {
                tester_.flush();
                worked = true;
            }
        } else if (ledger_.deadlines.waiting() == 0 || now - *begun > patience) {
            break;
        }
        if (stopped()) patience = std::min(patience, drain_after_interrupt);
        nap(worked);
    }
    lapse.opening = *begun - start;
    lapse.all = clock_.now() - start;
    lapse.cpu = cpu_time() - cpu_before;
    lapse.missed = pace.missed();
    return lapse;
}

Lapse Runner::run(const Load& load) {
    const Time start = clock_.now();
    const std::uint64_t before = ledger_.counters.opened;
    const std::uint64_t troubled_before = ledger_.counters.troubled;
    const std::uint64_t lost_before = ledger_.counters.lost + ledger_.counters.reset;
    return drive(
        load.name, load.schedule, load.patience,
        [&](std::uint32_t due, Time now) -> std::optional<std::uint32_t> {
            const std::uint64_t left = load.connections - (ledger_.counters.opened - before);
            const std::uint64_t lost = ledger_.counters.lost + ledger_.counters.reset - lost_before;
            if (left == 0 || now - start >= load.duration || lost >= load.most_lost ||
                ledger_.counters.troubled - troubled_before >= load.most_troubled)
                return std::nullopt;
            const auto wanted = static_cast<std::uint32_t>(std::min<std::uint64_t>(due, left));
            return tester_.open(wanted, now);
        });
}

template <class Act>
Lapse Runner::visit_held(const std::string& name, const Schedule& schedule, const Act& act) {
    std::uint32_t slot = 0;
    return drive(
        name, schedule, UINT64_MAX,
        [&](std::uint32_t due, Time now) -> std::optional<std::uint32_t> {
            if (slot == ledger_.connections.slots()) return std::nullopt;
            if (schedule.unlimited())
                due = std::min(
                    due, most_held_due - std::min(most_held_due, ledger_.deadlines.waiting()));
            std::uint32_t visited = 0;
            slot = tester_.visit_held(slot, due, [&](Connection& held, std::uint8_t* room) {
                ++visited;
                return act(held, room, now);
            });
            return visited;
        });
}

Lapse Runner::ask_held(const Schedule& schedule) {
    return visit_held("asking", schedule, [&](Connection& held, std::uint8_t* room, Time now) {
        return tester_.client().ask(held, room, now);
    });
}

Lapse Runner::close_held(const Schedule& schedule) {
    return visit_held("closing", schedule, [&](Connection& held, std::uint8_t* room, Time now) {
        return tester_.client().close(held, room, now);
    });
}

void Runner::rest(Time duration) {
    const Time end = clock_.now() + duration;
    for (Time now = clock_.now(); now < end && !stopped(); now = clock_.now())
        nap(tester_.turn(now));
}

}  // namespace noclash::cpsload
