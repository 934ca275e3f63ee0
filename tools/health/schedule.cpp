// SPDX-License-Identifier: Apache-2.0
#include "tools/health/schedule.hpp"

#include <algorithm>

namespace noclash::health {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
// What a loop that slept too long may catch up with at once.
constexpr std::uint64_t catch_up_ns = 10'000'000;

}  // namespace

Schedule::Schedule(Ceilings ceilings, std::uint64_t seed) : ceilings_(ceilings), random_(seed) {}

void Schedule::add(TargetId id, std::uint64_t interval_ns, std::uint32_t jitter_percent,
                   std::uint64_t now_ns) {
    std::uniform_int_distribution<std::uint64_t> first(0, interval_ns - 1);
    const std::uint64_t due_ns = now_ns + first(random_);
    rhythms_.insert_or_assign(id, Rhythm{interval_ns, interval_ns / 100 * jitter_percent, due_ns});
    queue_.emplace(due_ns, id);
}

void Schedule::remove(TargetId id) {
    rhythms_.erase(id);
}

Schedule::Rhythm* Schedule::front() {
    while (!queue_.empty()) {
        const auto found = rhythms_.find(queue_.top().second);
        if (found != rhythms_.end()) return &found->second;
        queue_.pop();
    }
    return nullptr;
}

std::optional<TargetId> Schedule::next(std::uint64_t now_ns) {
    const Rhythm* rhythm = front();
    if (rhythm == nullptr || rhythm->due_ns > now_ns) return std::nullopt;
    if (in_flight_ >= ceilings_.in_flight || allowed_ns_ > now_ns) return std::nullopt;
    const std::uint64_t earliest = now_ns - std::min(now_ns, catch_up_ns);
    allowed_ns_ = std::max(allowed_ns_, earliest) + second_ns / ceilings_.checks_per_s;
    const TargetId id = queue_.top().second;
    queue_.pop();
    ++in_flight_;
    ++begun_;
    if (now_ns - rhythm->due_ns > rhythm->interval_ns / 10) ++late_;
    return id;
}

void Schedule::ended(TargetId id, std::uint64_t now_ns) {
    --in_flight_;
    const auto found = rhythms_.find(id);
    if (found == rhythms_.end()) return;
    Rhythm& rhythm = found->second;
    std::uniform_int_distribution<std::uint64_t> jitter(0, 2 * rhythm.jitter_ns);
    const std::uint64_t due_ns =
        rhythm.due_ns + rhythm.interval_ns - rhythm.jitter_ns + jitter(random_);
    // Checks that were missed are not made up for.
    rhythm.due_ns = std::max(due_ns, now_ns);
    queue_.emplace(rhythm.due_ns, id);
}

std::uint64_t Schedule::wake_ns() {
    const Rhythm* rhythm = front();
    if (rhythm == nullptr || in_flight_ >= ceilings_.in_flight) return UINT64_MAX;
    return std::max(rhythm->due_ns, allowed_ns_);
}

}  // namespace noclash::health
