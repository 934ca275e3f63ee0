// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "bench/pipeline/bed.hpp"
#include "bench/pipeline/report.hpp"
#include "bench/pipeline/trial.hpp"
#include "nat/packet/packet.hpp"

namespace noclash::bench {

inline constexpr std::uint32_t thousand = 1U << 10U, million = 1U << 20U;

struct Options {
    /// Packets of established flows that are timed, for a row.
    std::uint64_t packets = 1U << 21U;
    /// How often a million flows are created from none.
    unsigned fills = 3;
    /// How often so many flows are created. Fewer take some milliseconds only, and are created more
    /// often: what else the machine does for a moment shall not decide.
    [[nodiscard]] constexpr unsigned fills_of(std::uint32_t flows) const {
        return flows < million ? 3 * fills : flows == million ? fills : 1;
    }
    /// Rows with more flows are left out.
    std::uint32_t most_flows = 1U << 22U;
    /// Tell which step of the pipeline takes how long, too.
    bool profile = false;
};

/// Flows in the order of their numbers, from `first` on: what their clients begin with.
[[nodiscard]] Traffic opening(const Flows& flows, std::uint32_t first = 0,
                              std::uint8_t tcp_flags = nat::tcp_flag::syn);
/// The first answers of the flows' servers, in the same order.
[[nodiscard]] Traffic answering(const Translations& translations);

enum class Way : std::uint8_t { out, in, both };

/// Packets of the first `count` flows, drawn at random. They are what an established connection
/// carries; each worker draws differently.
[[nodiscard]] Traffic established(const Translations& translations, std::uint32_t count, Way way);

/// As rows name it.
[[nodiscard]] std::string count_words(std::uint32_t flows);
/// The results of `measure(i)` for so many i, without the disturbed ones. If all were disturbed, it
/// goes on, up to `most` times, for one that was not; and if there is none, all count.
template <class Measure>
[[nodiscard]] auto undisturbed(unsigned times, unsigned most, Measure measure) {
    std::vector<decltype(measure(0U))> all, some;
    for (unsigned i = 0; i < times || (some.empty() && i < most); ++i) {
        all.push_back(measure(i));
        if (!all.back().disturbed()) some.push_back(all.back());
    }
    return some.empty() ? all : some;
}
[[nodiscard]] Cost median(std::vector<Cost> costs);
/// Packets of established flows, in turns; after each turn as many are sent and looked at.
[[nodiscard]] Cost established_cost(Trial& trial, const Options& options, const Traffic& traffic,
                                    unsigned workers = 1);

/// New flows, as many as there are translations, again and again from none; the last ones stay.
[[nodiscard]] Cost creation_cost(Bed& bed, Trial& trial, Translations& translations,
                                 const Flows& flows, const Options& options);

/// Brings flows whose first packet has passed to where both sides have spoken, and looks at every
/// packet: a first packet that is sent again, the answer, and the answer to that.
void establish(Trial& trial, const Translations& translations);

/// Sends `count` packets once more, and tells what each step of the pipeline costs.
void profile(Bed& bed, Trial& trial, const std::string& name, std::uint64_t count,
             const Traffic& traffic, PipelineReport& report);

// The cases, each with a gateway of its own. All throw WrongAnswer.

/// New TCP flows, and established ones, of 64 k, 1 M and 4 M; UDP, ICMP, and both directions.
void flows_by_number(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// Every new flow comes when an old one goes, 1 M flows.
void churn(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// Two workers on the same flows and pool, beside one.
void two_workers(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// One pool address and one server: the port range from empty to full.
void one_destination(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// How long packets take, first ones and later ones together, at a load that the worker can bear.
void latency(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// The cost of choosing ports so that replies come to the worker that owns their flow.
void reply_locality(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// Forwarding without translation, with flows and without.
void forwarding(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// New flows and untracked packets, by the number of rules.
void rules_by_number(Dpdk& dpdk, const Options& options, PipelineReport& report);
void services_by_number(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// Established packets among the SYNs of a flood; and what the SYN proxy itself costs.
void syn_flood(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// New flows, established ones and untracked packets, by the number of routes; how long these take
/// to load.
void routes_by_number(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// Established flows while another thread replaces the policy all the time.
void reloads(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// A hundred million flows in one gateway, and another one that adopts them: some 18 GiB of memory.
void huge(Dpdk& dpdk, const Options& options, PipelineReport& report);
/// The limit of all gateways on this machine: the same traffic, and the least to do with it.
void limit(Dpdk& dpdk, const Options& options, PipelineReport& report);

}  // namespace noclash::bench
