// SPDX-License-Identifier: Apache-2.0
#include "tools/health/runner.hpp"

#include <algorithm>
#include <random>
#include <utility>

namespace noclash::health {

Runner::Runner(Ceilings ceilings, OnEnd on_end)
    : on_end_(std::move(on_end)),
      schedule_(ceilings, std::random_device()()),
      curl_(loop_, [this](TargetId id, Outcome outcome) { end(id, std::move(outcome)); }),
      datagrams_(loop_, [this](TargetId id, Outcome outcome) { end(id, std::move(outcome)); }) {}

TargetId Runner::insert(const Check& check, const Endpoint& endpoint) {
    targets_.insert_or_assign(++last_id_, Target{&check, endpoint});
    return last_id_;
}

TargetId Runner::add(const Check& check, const Endpoint& endpoint) {
    const TargetId id = insert(check, endpoint);
    schedule_.add(id, check.interval_ms * ms_ns, check.jitter_percent, now_ns());
    return id;
}

TargetId Runner::add_once(const Check& check, const Endpoint& endpoint) {
    const TargetId id = insert(check, endpoint);
    schedule_.add(id, 1, 0, now_ns());
    return id;
}

void Runner::remove(TargetId id) {
    targets_.erase(id);
    schedule_.remove(id);
}

void Runner::begin_due() {
    while (const auto id = schedule_.next(now_ns())) {
        const Target target = targets_.at(*id);
        Prober& prober = target.check->kind == Kind::icmp || target.check->kind == Kind::dns
                             ? static_cast<Prober&>(datagrams_)
                             : curl_;
        prober.start(*id, *target.check, target.endpoint);
    }
}

void Runner::end(TargetId id, Outcome outcome) {
    const bool wanted = targets_.contains(id);
    if (wanted) on_end_(id, std::move(outcome));
    schedule_.ended(id, now_ns());
}

void Runner::turn(std::uint64_t until_ns) {
    begin_due();
    loop_.wait(std::min({until_ns, schedule_.wake_ns(), curl_.wake_ns(), datagrams_.wake_ns()}));
    const std::uint64_t now = now_ns();
    curl_.on_time(now);
    datagrams_.on_time(now);
}

}  // namespace noclash::health
