// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "bench/pipeline/bed.hpp"
#include "bench/pipeline/check.hpp"
#include "bench/pipeline/lane.hpp"

namespace noclash::bench {

/// Packet `i` of a worker; i counts from 0.
using Traffic = std::function<Sending(unsigned worker, std::uint64_t i)>;

/// Which value stands for all parts of a trial.
enum class Central : std::uint8_t {
    median_of_parts,    ///< where all packets cost alike
    median_of_batches,  ///< new flows: each batch has its share of what comes once in a while, as
                        ///< random numbers and free records do, which most parts have not
    mean,               ///< of all parts but those that were interrupted: old flows end in waves
};

/// The cost of a packet, without that of the rings.
struct Cost {
    double ns = 0;               ///< a packet, on average over the workers
    double packets_per_us = 0;   ///< of all workers together: million a second
    double least = 0, most = 0;  ///< quartiles of `packets_per_us`
    /// As `packets_per_us`, of disturbed batches too: to compare with a cost that has no others.
    double packets_per_us_of_all = 0;
    std::size_t samples = 0;  ///< parts of batches, or batches
    double together = 1;      ///< share of the batches in which all workers ran at the same time
    double undisturbed = 0;   ///< likewise, and each had its core to itself; where there are
                              ///< such batches, no others count

    [[nodiscard]] bool disturbed() const { return undisturbed < 0.25; }
};

/// Time as workers are told it: the machine's, or one that a scenario makes.
class Time {
  public:
    [[nodiscard]] static Time real() { return {}; }
    /// So many rounds a second.
    [[nodiscard]] static Time of_rounds(double a_second);

    [[nodiscard]] std::uint64_t operator()() {
        if (step_ms_ == 0) return now_ms();
        passed_ms_ += step_ms_;
        return begun_ms_ + static_cast<std::uint64_t>(passed_ms_);
    }

  private:
    std::uint64_t begun_ms_ = 0;
    double step_ms_ = 0;
    double passed_ms_ = 0;
};

/// Sends traffic through a bed's workers, batch by batch.
class Trial {
  public:
    Trial(Bed& bed, Translations& translations) : bed_(bed), translations_(translations) {}

    /// Sends `count` packets to each of `workers` and looks at every one that comes out.
    /// @throws WrongAnswer
    void verify(unsigned workers, std::uint64_t count, const Traffic& traffic);

    /// Sends them, and tells what they cost. All must come out.
    Cost time(unsigned workers, std::uint64_t count, const Traffic& traffic,
              Central central = Central::median_of_parts) {
        return time(Purpose::time, workers, count, traffic, central);
    }
    /// The same for new flows, and each batch is looked at when it has been timed: their memory is
    /// cold anyway. (What is looked at displaces what the worker had in its caches.)
    Cost time_opening(unsigned workers, std::uint64_t count, const Traffic& traffic,
                      Central central = Central::median_of_batches) {
        return time(Purpose::time_and_verify, workers, count, traffic, central);
    }

    /// The cost of the rings for this traffic, ns a packet; taken out of all costs that follow.
    double calibrate(unsigned workers, const Traffic& traffic);

    /// From now on all that comes out is looked at by `check` alone.
    void check_by(std::function<void(const Lane&)> check) { check_ = std::move(check); }
    /// From now on `rounds`, which outlives its use, has worker 0's place.
    void let_run(Rounds& rounds) { instead_ = &rounds; }
    /// From now on workers are told this time.
    void tell(const Time& time) { time_ = time; }
    /// Packets in a batch from now on, at most `batch_frames`.
    void batch(std::uint32_t frames) { batch_ = frames; }
    /// ns a packet of worker 0, by batch, the last time.
    [[nodiscard]] const std::vector<double>& by_batch() const { return by_batch_; }

  private:
    enum class Purpose : std::uint8_t { verify, time, time_and_verify, calibrate };
    using Batches = std::vector<std::vector<BatchTime>>;  ///< by worker, then batch

    Cost time(Purpose purpose, unsigned workers, std::uint64_t count, const Traffic& traffic,
              Central central);
    Batches send(Purpose purpose, unsigned workers, std::uint64_t count, const Traffic& traffic);
    void send_lane(Purpose purpose, unsigned worker, std::uint64_t count, const Traffic& traffic,
                   std::vector<BatchTime>& batches, const std::function<void()>& meet);

    Bed& bed_;
    Translations& translations_;
    Time time_ = Time::real();
    Rounds* instead_ = nullptr;
    std::function<void(const Lane&)> check_;  ///< none: translations are checked
    double rings_ns_ = 0;
    std::uint32_t batch_ = batch_frames;
    std::vector<double> by_batch_;
    std::atomic<std::uint64_t> lost_{0};
};

}  // namespace noclash::bench
