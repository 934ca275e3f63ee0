// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "bench/pipeline/bed.hpp"
#include "bench/pipeline/frames.hpp"
#include "bench/pipeline/pace.hpp"
#include "bench/scenario.hpp"
#include "bench/workers.hpp"
#include "engine/base/clock.hpp"

namespace noclash::bench {

/// One packet to be sent.
struct Sending {
    Side from = Side::inside;
    Tuple<V4> tuple{};
    Content content;
};

/// Moves frames from a lane's RX rings to its TX rings in a worker's stead.
class Rounds {
  public:
    Rounds() = default;
    Rounds(const Rounds&) = delete;
    Rounds& operator=(const Rounds&) = delete;
    virtual ~Rounds() = default;

    /// How many frames it received: one burst of each port.
    virtual std::size_t round(std::uint64_t now_ms) = 0;
};

/// Does nothing else with them. Its cost is what the rings and the lane cost.
struct Mover {
    const Bed& bed;
    std::uint16_t queue;

    std::size_t round(std::uint64_t) const {
        std::size_t moved = 0;
        for (const Side side : {Side::inside, Side::outside}) {
            std::array<rte_mbuf*, dpdk::Pipeline::burst> frames;
            const std::uint16_t count = rte_eth_rx_burst(bed.port_id(side), queue, frames.data(),
                                                         static_cast<std::uint16_t>(frames.size()));
            if (count == 0) continue;
            moved += rte_eth_tx_burst(bed.port_id(other(side)), queue, frames.data(), count);
        }
        return moved;
    }
};

/// When a batch was under way, and what each of its parts cost. Parts are short, so that few of
/// them are interrupted by whatever else the machine does.
struct BatchTime {
    std::uint64_t begun = 0;  ///< TSC
    std::uint64_t ended = 0;
    double pace = 0;             ///< the CPU's, before or after it: the lower of the two
    std::vector<double> cycles;  ///< a frame, on average over a part
};

/// The traffic of one worker, used on its lcore. A batch is written into packet buffers, all of it
/// before the first frame is handed over: the buffers come from the far end of a large pool, and
/// a batch is larger than the nearest cache, so that the worker finds headers where a NIC leaves
/// them, in L2 or L3. Then the batch is put into the RX rings, the worker makes its rounds, and the
/// TX rings are emptied; only that is timed.
class Lane {
  public:
    Lane(Bed& bed, unsigned worker) : bed_(bed), worker_(worker) {}
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;
    ~Lane() { release(); }

    /// Writes `count` frames, at most `batch_frames`; `next(i)` gives each one's `Sending`.
    template <class Next>
    void write(std::uint32_t count, Next&& next) {
        std::array<rte_mbuf*, batch_frames> fresh;
        expect(rte_pktmbuf_alloc_bulk(bed_.buffers(), fresh.data(), count) == 0,
               "there are no packet buffers left");
        for (auto& frames : in_)
            frames.clear();
        for (std::uint32_t i = 0; i < count; ++i) {
            const Sending sending = next(i);
            auto* room = reinterpret_cast<std::uint8_t*>(
                rte_pktmbuf_append(fresh[i], static_cast<std::uint16_t>(frame_bytes)));
            write_frame(FrameBytes(room, frame_bytes), bed_.mac(sending.from),
                        Bed::neighbor_mac(sending.from), sending.tuple, sending.content);
            in_[port_of(sending.from)].push_back(fresh[i]);
        }
    }

    /// Hands the written batch over, and takes back what comes out. `rounds.round(now_ms)` is the
    /// worker, `clock()` tells it the time.
    template <class Rounds, class Clock>
    BatchTime run(Rounds&& rounds, Clock&& clock) {
        BatchTime time;
        time.pace = Pace::sample();
        time.cycles.reserve(batch_frames / frames_of_a_part + 1);
        std::size_t sent = 0;
        for (const Side side : {Side::inside, Side::outside}) {
            auto& frames = in_[port_of(side)];
            sent += rte_ring_sp_enqueue_bulk(bed_.rx(side, worker_),
                                             reinterpret_cast<void**>(frames.data()),
                                             static_cast<unsigned>(frames.size()), nullptr);
        }
        time.begun = rte_rdtsc_precise();
        for (std::size_t left = sent; left > 0;) {
            const std::uint64_t begun = rte_rdtsc();
            std::size_t part = 0;
            while (left > part && part < frames_of_a_part)
                part += rounds.round(clock());
            time.cycles.push_back(static_cast<double>(rte_rdtsc() - begun) /
                                  static_cast<double>(part));
            left -= part;
        }
        time.ended = rte_rdtsc_precise();
        drain();
        // Packets may wait for another worker, or for a port; 100 ms at most.
        for (unsigned i = 0; out_count() < sent && i < most_late_rounds; ++i) {
            rounds.round(clock());
            drain();
        }
        if (const std::uint64_t late = rte_rdtsc() - time.ended; sent <= frames_of_a_part)
            time.cycles.back() += static_cast<double>(late) / static_cast<double>(sent);
        time.pace = std::min(time.pace, Pace::sample());
        return time;
    }

    /// Hands the written batch over frame by frame, each at its time, `gap` cycles after the one
    /// before, however far the worker is: a frame that finds it busy waits in the RX ring. Only for
    /// frames from inside, which come out as they went in. How long each took, in cycles from when
    /// it was due to when it was seen behind the TX queue, in `took`; false when something else ran
    /// on this CPU meanwhile, and the figures tell nothing of the worker.
    template <class Clock>
    bool pace(dpdk::Worker& rounds, Clock&& clock, double gap, std::vector<std::uint64_t>& took) {
        const auto& frames = in_[port_of(Side::inside)];
        took.clear();
        const std::uint64_t begun = rte_rdtsc_precise();
        std::uint64_t before = begun, longest = 0;
        const auto due = [&](std::size_t i) {
            return begun + static_cast<std::uint64_t>(gap * static_cast<double>(i));
        };
        for (std::size_t sent = 0; took.size() < frames.size();) {
            const std::uint64_t now = rte_rdtsc();
            longest = std::max(longest, now - before);
            before = now;
            for (; sent < frames.size() && due(sent) <= now; ++sent)
                rte_ring_sp_enqueue(bed_.rx(Side::inside, worker_), frames[sent]);
            rounds.round(clock());
            drain();
            const std::uint64_t seen = rte_rdtsc();
            while (took.size() < out_count())
                took.push_back(seen - due(took.size()));
        }
        return longest < rte_get_tsc_hz() / 1000'000 * most_undisturbed_us;
    }

    /// The frames that have come out of the port on a side.
    [[nodiscard]] std::span<rte_mbuf* const> out(Side side) const {
        return {out_[port_of(side)].data(), count_[port_of(side)]};
    }
    [[nodiscard]] std::size_t out_count() const { return count_[0] + count_[1]; }

    /// Gives the buffers that came out back to the pool.
    void release() {
        for (const Side side : {Side::inside, Side::outside})
            rte_pktmbuf_free_bulk(out_[port_of(side)].data(), count_[port_of(side)]);
        count_ = {};
    }

  private:
    static constexpr std::size_t frames_of_a_part = 256;
    static constexpr std::uint64_t most_undisturbed_us = 60;
    static constexpr unsigned most_late_rounds = 100'000;

    void drain() {
        for (const Side side : {Side::inside, Side::outside}) {
            auto& count = count_[port_of(side)];
            auto& frames = out_[port_of(side)];
            count += rte_ring_sc_dequeue_burst(
                bed_.tx(side, worker_), reinterpret_cast<void**>(frames.data() + count),
                static_cast<unsigned>(frames.size()) - count, nullptr);
        }
    }

    Bed& bed_;
    unsigned worker_;
    std::array<std::vector<rte_mbuf*>, 2> in_{};
    std::array<std::array<rte_mbuf*, std::size_t{2} * batch_frames>, 2> out_{};
    std::array<unsigned, 2> count_{};
};

}  // namespace noclash::bench
