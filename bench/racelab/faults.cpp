// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include "bench/racelab/results.hpp"

namespace noclash::racelab {
namespace {

class Faults {
  public:
    /// The faults that follow concern this case.
    void about(std::string subject) { subject_ = std::move(subject); }
    void expect(bool true_of_it, const std::string& otherwise) {
        if (!true_of_it) list_.push_back(subject_ + ": " + otherwise);
    }
    [[nodiscard]] std::vector<std::string> list() && { return std::move(list_); }

  private:
    std::string subject_;
    std::vector<std::string> list_;
};

void check(const StormRow& row, Faults& faults) {
    const StormOptions& options = row.options;
    const StormResult& result = row.result;
    faults.about(fmt::format("storm, {}, {}, {}, {} threads, {} ns, {} cps", name_of(row.gateway),
                             options.protocol == protocol::tcp ? "tcp" : "udp",
                             options.schedule == Schedule::in_step ? "in step" : "free-running",
                             options.threads, options.distance_ns, options.rate_cps));
    faults.expect(
        result.delivered + result.lost + result.duplicated == options.connections,
        fmt::format("{} delivered, {} lost and {} duplicated are not {} connections",
                    result.delivered, result.lost, result.duplicated, options.connections));
    faults.expect(result.tuple_collisions == 0,
                  fmt::format("{} were delivered with another's tuple", result.tuple_collisions));
    faults.expect(result.duplicated == 0, fmt::format("{} duplicated", result.duplicated));
    if (row.gateway == Gateway::noclash)
        faults.expect(result.lost == 0, fmt::format("{} lost", result.lost));
    faults.expect(
        result.lost == result.counts.insert_failed,
        fmt::format("{} lost, but insert_failed is {}", result.lost, result.counts.insert_failed));
    const std::uint64_t gave_up = result.counts.gave_up;
    faults.expect(result.lost >= gave_up,
                  fmt::format("{} lost, but {} searches for a port failed", result.lost, gave_up));
    if (options.distance_ns == 0)
        faults.expect(result.lost == gave_up,
                      fmt::format("{} lost with nothing to race with", result.lost - gave_up));
}

void check(const DnsRow& row, Faults& faults) {
    const DnsResult& result = row.result;
    faults.about(fmt::format("dns, {}, {} backends, {} ns", name_of(row.resolver),
                             row.options.backends, row.options.distance_ns));
    faults.expect(result.queries == 2 * result.pairs, "not two queries a pair");
    faults.expect(result.delivered + result.lost + result.duplicated == result.queries,
                  fmt::format("{} delivered, {} lost and {} duplicated are not {} queries",
                              result.delivered, result.lost, result.duplicated, result.queries));
    faults.expect(result.duplicated == 0, fmt::format("{} duplicated", result.duplicated));
    faults.expect(result.lost <= result.pairs,
                  fmt::format("{} lost of {} pairs: a first query too", result.lost, result.pairs));
    const bool keeps_all = row.resolver == Resolver::today || row.resolver == Resolver::noclash;
    faults.expect(!keeps_all || result.lost == 0, fmt::format("{} lost", result.lost));
    faults.expect(row.resolver == Resolver::today || result.split_pairs == 0,
                  fmt::format("{} pairs went to two backends", result.split_pairs));
}

void check(const ExhaustionRow& row, Faults& faults) {
    const ExhaustionResult& result = row.result;
    faults.about(
        fmt::format("exhaustion, {}, {} %", name_of(row.allocator), row.occupancy_percent));
    faults.expect(result.succeeded <= result.attempts, "more succeeded than were tried");
    if (result.free_ports == 0)
        faults.expect(result.succeeded == 0,
                      fmt::format("{} got a port that was not free", result.succeeded));
    else if (row.allocator == Allocator::noclash)
        faults.expect(result.succeeded == result.attempts,
                      fmt::format("{} were refused with {} ports free",
                                  result.attempts - result.succeeded, result.free_ports));
}

}  // namespace

std::vector<std::string> faults_of(const Results& results) {
    Faults faults;
    for (const auto& row : results.storm)
        check(row, faults);
    for (const auto& row : results.dns)
        check(row, faults);
    for (const auto& row : results.exhaustion)
        check(row, faults);
    return std::move(faults).list();
}

}  // namespace noclash::racelab
