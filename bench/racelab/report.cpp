// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/report.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

namespace noclash::racelab {
namespace {

using Json = nlohmann::ordered_json;

const char* protocol_of(const StormOptions& options) {
    return options.protocol == protocol::tcp ? "tcp" : "udp";
}
const char* schedule_of(const StormOptions& options) {
    return options.schedule == Schedule::in_step ? "in-step" : "free-running";
}
double percent(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

Json json_of(const StormRow& row) {
    const auto& [options, gateway, result] = row;
    return {{"contestant", name_of(gateway)},
            {"protocol", protocol_of(options)},
            {"schedule", schedule_of(options)},
            {"threads", options.threads},
            {"distance_ns", options.distance_ns},
            {"jitter_ns", options.jitter_ns},
            {"rate_cps", options.rate_cps},
            {"connections", result.connections},
            {"delivered", result.delivered},
            {"lost", result.lost},
            {"duplicated", result.duplicated},
            {"insert_failed", result.counts.insert_failed},
            {"gave_up", result.counts.gave_up},
            {"clash_resolved", result.counts.clash_resolved},
            {"tuple_collisions", result.tuple_collisions}};
}

Json json_of(const DnsRow& row) {
    const auto& [options, resolver, result] = row;
    return {{"contestant", name_of(resolver)},
            {"backends", options.backends},
            {"distance_ns", options.distance_ns},
            {"jitter_ns", options.jitter_ns},
            {"pairs", result.pairs},
            {"queries", result.queries},
            {"delivered", result.delivered},
            {"lost", result.lost},
            {"duplicated", result.duplicated},
            {"split_pairs", result.split_pairs},
            {"insert_failed", result.counts.insert_failed},
            {"clash_resolved", result.counts.clash_resolved}};
}

Json json_of(const ExhaustionRow& row) {
    return {{"contestant", name_of(row.allocator)},
            {"occupancy_percent", row.occupancy_percent},
            {"attempts", row.result.attempts},
            {"succeeded", row.result.succeeded},
            {"tries_mean", row.result.tries_mean}};
}

template <class Row>
Json json_of_all(const std::vector<Row>& rows) {
    Json list = Json::array();
    for (const Row& row : rows)
        list.push_back(json_of(row));
    return list;
}

void print_storm(const std::vector<StormRow>& rows) {
    fmt::print("The storm: connections to one service with the same source ports, lost or not\n\n");
    fmt::print("{:<24}{:<5}{:<13}{:>8}{:>12}{:>10}{:>12}{:>10}{:>8}{:>14}{:>9}\n", "gateway", "",
               "", "threads", "distance ns", "cps", "connections", "lost", "", "insert_failed",
               "gave up");
    for (const auto& [options, gateway, result] : rows)
        fmt::print("{:<24}{:<5}{:<13}{:>8}{:>12}{:>10}{:>12}{:>10}{:>6.2f} %{:>14}{:>9}\n",
                   name_of(gateway), protocol_of(options), schedule_of(options), options.threads,
                   options.distance_ns, options.rate_cps, result.connections, result.lost,
                   percent(result.lost, result.connections), result.counts.insert_failed,
                   result.counts.gave_up);
}

void print_dns(const std::vector<DnsRow>& rows) {
    fmt::print("\nA and AAAA from one socket, on two CPUs at the same moment\n\n");
    fmt::print("{:<24}{:>9}{:>9}{:>10}{:>8}{:>13}{:>14}{:>16}\n", "gateway", "backends", "pairs",
               "delivered", "lost", "split pairs", "insert_failed", "clash_resolved");
    for (const auto& [options, resolver, result] : rows)
        fmt::print("{:<24}{:>9}{:>9}{:>10}{:>8}{:>13}{:>14}{:>16}\n", name_of(resolver),
                   options.backends, result.pairs, result.delivered, result.lost,
                   result.split_pairs, result.counts.insert_failed, result.counts.clash_resolved);
}

void print_exhaustion(const std::vector<ExhaustionRow>& rows) {
    fmt::print("\nConnections to one destination with most of its 64,512 ports taken\n\n");
    fmt::print("{:<24}{:>9}{:>11}{:>11}{:>10}{:>13}\n", "gateway", "taken", "attempts", "succeeded",
               "", "ports tried");
    for (const auto& [allocator, occupancy, result] : rows)
        fmt::print("{:<24}{:>7g} %{:>11}{:>11}{:>8.2f} %{:>13.1f}\n", name_of(allocator), occupancy,
                   result.attempts, result.succeeded, percent(result.succeeded, result.attempts),
                   result.tries_mean);
}

}  // namespace

std::string to_json(const Results& results) {
    return Json{{"storm", json_of_all(results.storm)},
                {"dns", json_of_all(results.dns)},
                {"exhaustion", json_of_all(results.exhaustion)},
                {"seed", results.seed}}
        .dump();
}

void print_tables(const Results& results) {
    if (!results.storm.empty()) print_storm(results.storm);
    if (!results.dns.empty()) print_dns(results.dns);
    if (!results.exhaustion.empty()) print_exhaustion(results.exhaustion);
}

}  // namespace noclash::racelab
