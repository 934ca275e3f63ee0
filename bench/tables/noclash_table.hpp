// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "bench/tables/table.hpp"
#include "engine/reservation.hpp"

namespace noclash::bench {

/// The flow engine, used as the pipeline uses it: bursts, prefetching, maintenance between bursts.
class NoclashTable {
  public:
    static constexpr const char* name = "noclash";
    static constexpr bool expires_flows = true;

    NoclashTable(std::uint32_t capacity, unsigned workers) : table_(capacity, workers, workers) {}

    /// A flow stands in the index twice.
    [[nodiscard]] std::uint64_t live_flows() const {
        return table_.index().occupancy().entries / 2;
    }

    class Worker {
      public:
        Worker(NoclashTable& table, std::uint16_t number) : worker_(table.table_, number, 0) {}

        void online() { worker_.online(); }
        void offline() { worker_.offline(); }

        void set_up(std::span<const FlowKeys> keys, std::span<FlowId> made, std::uint64_t now_ms) {
            const auto& index = worker_.table().index();
            for (std::size_t i = 0; i < keys.size(); ++i) {
                hashes_[i] = {index.hash(keys[i].original), index.hash(keys[i].reply)};
                for (const std::uint64_t hash : hashes_[i])
                    index.prefetch_for_write(hash);
            }
            for (std::size_t i = 0; i < keys.size(); ++i) {
                Reservation<V4> reservation(worker_, keys[i].original, hashes_[i][0]);
                made[i] = no_flow;
                if (reservation.error() == SetupError::none &&
                    reservation.reserve(keys[i].reply, hashes_[i][1]) == SetupError::none)
                    made[i] = reservation.publish(to_moment(now_ms + lifetime_ms), now_ms);
            }
        }

        /// As `Pipeline::process`: key, hash and result of a packet stand together.
        void find(std::span<const Tuple<V4>> tuples, std::span<Found> found) {
            const auto& index = worker_.table().index();
            const auto& pool = worker_.table().pool();
            const std::span burst = std::span(lookups_).first(tuples.size());
            for (std::size_t i = 0; i < tuples.size(); ++i) {
                burst[i].key = tuples[i];
                burst[i].hash = index.hash(burst[i].key);
                index.prefetch(burst[i].hash);
            }
            index.candidates(
                burst, [](const Lookup& lookup) { return lookup.hash; },
                [&](Lookup& lookup, Found likely) {
                    lookup.found = likely;
                    // The tuple alone: a lookup counts nothing in the second line.
                    __builtin_prefetch(&pool[likely.flow].tuple(likely.direction), 0, 2);
                });
            for (std::size_t i = 0; i < tuples.size(); ++i) {
                const Lookup& lookup = burst[i];
                const auto& likely = pool[lookup.found.flow].tuple(lookup.found.direction);
                found[i] =
                    likely == lookup.key ? lookup.found : index.find(lookup.key, lookup.hash);
            }
        }

        void release(std::span<const FlowId> flows) {
            auto& table = worker_.table();
            for (const FlowId flow : flows)
                table.pool().prefetch(flow);
            for (const FlowId flow : flows)
                table.prefetch_entries(flow);
            for (const FlowId flow : flows)
                table.release(flow, worker_.counters(), [](const auto&) {});
        }

        void end_burst(std::uint64_t now_ms) {
            worker_.quiescent();
            worker_.maintain(now_ms, maintenance_budget, [](const auto&) {});
        }

        void settle(std::uint64_t now_ms) {
            worker_.table().hurry_reclamation();
            for (int grace_periods = 0; grace_periods < 3; ++grace_periods) {
                worker_.quiescent();
                worker_.maintain(now_ms, std::numeric_limits<std::uint32_t>::max(),
                                 [](const auto&) {});
            }
        }

      private:
        static constexpr std::uint32_t maintenance_budget = 256;  // as the daemon

        struct Lookup {
            Tuple<V4> key;
            std::uint64_t hash = 0;
            Found found{};
        };

        FlowWorker<V4> worker_;
        std::array<std::array<std::uint64_t, 2>, burst_size> hashes_{};  ///< by Direction
        std::array<Lookup, burst_size> lookups_{};
    };

  private:
    FlowTable<V4> table_;
};

static_assert(FlowTableUnderTest<NoclashTable>);

}  // namespace noclash::bench
