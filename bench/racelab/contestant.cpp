// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/contestant.hpp"

#include <queue>
#include <stdexcept>
#include <tuple>

namespace noclash::racelab {
namespace {

/// Between two looks at a parked packet: a worker's round, of some ten packets.
constexpr Instant round_ns = 1000;
/// After which a worker gives a parked packet up (dpdk/datapath/worker.cpp).
constexpr Instant most_parked_ns = 100'000'000;

enum class Step : std::uint8_t { confirm, choose };  // in this order at the same moment

struct Event {
    Instant at;
    Step step;
    std::uint64_t number;  // of events made: at the same moment, first come, first served
    std::size_t passage;

    friend bool operator>(const Event& a, const Event& b) {
        return std::tie(a.at, a.step, a.number) > std::tie(b.at, b.step, b.number);
    }
};

}  // namespace

std::vector<Departure> cross(Contestant& gateway, std::span<const Passage> passages) {
    std::priority_queue<Event, std::vector<Event>, std::greater<>> events;
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < passages.size(); ++i)
        events.push({passages[i].choose, Step::choose, number++, i});

    std::vector<Departure> departures;
    departures.reserve(passages.size());
    while (!events.empty()) {
        const Event event = events.top();
        events.pop();
        const Passage& passage = passages[event.passage];
        if (event.step == Step::confirm) {
            if (const auto sent = gateway.confirm(passage, event.at))
                departures.push_back({passage.id, *sent});
        } else if (gateway.choose(passage, event.at) == Contestant::Choice::made) {
            const Instant distance = passage.confirm - passage.choose;
            events.push({event.at + distance, Step::confirm, number++, event.passage});
        } else {
            if (event.at - passage.choose > most_parked_ns)
                throw std::runtime_error(
                    "a packet was parked for more than 100 ms of virtual time");
            events.push({event.at + round_ns, Step::choose, number++, event.passage});
        }
    }
    return departures;
}

}  // namespace noclash::racelab
