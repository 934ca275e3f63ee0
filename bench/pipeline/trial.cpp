// SPDX-License-Identifier: Apache-2.0
#include "bench/pipeline/trial.hpp"

#include <sched.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "bench/pipeline/pace.hpp"

namespace noclash::bench {
namespace {

/// Where workers meet before each batch, so that they run at the same time. They spin: who sleeps
/// comes late. One that fails must not leave the others waiting.
class Meeting {
  public:
    explicit Meeting(unsigned count) : count_(count) {}

    void meet() {
        const unsigned round = round_.load(std::memory_order_acquire);
        if (here_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
            here_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            return;
        }
        for (unsigned spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
            expect(!broken_, "another worker has failed");
            if (spins % 1024 == 1023) ::sched_yield();
            rte_pause();
        }
    }
    void call_off() { broken_ = true; }

  private:
    unsigned count_;
    std::atomic<unsigned> here_{0};
    std::atomic<unsigned> round_{0};
    std::atomic<bool> broken_{false};
};

double quantile(std::vector<double>& values, double share) {
    const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + at, values.end());
    return values[static_cast<std::size_t>(at)];
}

/// Whether all workers were at work for most of the time that batch `i` took.
bool ran_together(const std::vector<std::vector<BatchTime>>& batches, std::size_t i) {
    std::uint64_t first = ~0ULL, last = 0, latest_begin = 0, earliest_end = ~0ULL;
    for (const auto& of_worker : batches) {
        first = std::min(first, of_worker[i].begun);
        latest_begin = std::max(latest_begin, of_worker[i].begun);
        earliest_end = std::min(earliest_end, of_worker[i].ended);
        last = std::max(last, of_worker[i].ended);
    }
    return earliest_end > latest_begin && (earliest_end - latest_begin) * 10 >= (last - first) * 8;
}

/// Whether nobody else ran on the workers' cores, before batch `i` and after it.
bool had_their_cores(const std::vector<std::vector<BatchTime>>& batches, std::size_t i) {
    return std::all_of(batches.begin(), batches.end(),
                       [i](const auto& of_worker) { return Pace::is_full(of_worker[i].pace); });
}

double mean(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Who was interrupted took several times as long as the others; its cost is not the worker's.
double mean_of_undisturbed(const std::vector<double>& values, double median) {
    double sum = 0, count = 0;
    for (const double value : values) {
        if (value > 5 * median) continue;
        sum += value;
        ++count;
    }
    return sum / count;
}

Cost summarize(const std::vector<std::vector<BatchTime>>& batches, double rings_ns,
               Central central) {
    const double ns_of_a_cycle = 1e9 / static_cast<double>(rte_get_tsc_hz());
    Cost cost;
    std::vector<std::size_t> together, undisturbed;
    for (std::size_t i = 0; i < batches.front().size(); ++i) {
        if (batches.size() > 1 && !ran_together(batches, i)) continue;
        together.push_back(i);
        if (had_their_cores(batches, i)) undisturbed.push_back(i);
    }
    const auto share = [&](const std::vector<std::size_t>& part) {
        return static_cast<double>(part.size()) / static_cast<double>(batches.front().size());
    };
    cost.together = share(together);
    cost.undisturbed = share(undisturbed);
    if (together.empty()) return cost;

    const auto samples_of = [&](const std::vector<std::size_t>& chosen) {
        std::vector<std::vector<double>> samples(batches.size());
        for (const std::size_t i : chosen) {
            for (std::size_t worker = 0; worker < batches.size(); ++worker) {
                const std::vector<double>& parts = batches[worker][i].cycles;
                const auto sample = [&](double cycles) {
                    samples[worker].push_back(cycles * ns_of_a_cycle - rings_ns);
                };
                if (central == Central::median_of_batches)
                    sample(mean(parts));
                else
                    std::for_each(parts.begin(), parts.end(), sample);
            }
        }
        return samples;
    };
    const auto central_of = [central](std::vector<double>& of_worker) {
        const double ns = quantile(of_worker, 0.5);
        return central == Central::mean ? mean_of_undisturbed(of_worker, ns) : ns;
    };
    std::vector<std::vector<double>> all = samples_of(together);
    for (std::vector<double>& of_worker : all)
        cost.packets_per_us_of_all += 1000 / central_of(of_worker);
    std::vector<std::vector<double>> samples = undisturbed.empty() ? all : samples_of(undisturbed);
    for (std::vector<double>& of_worker : samples) {
        cost.samples += of_worker.size();
        cost.least += 1000 / quantile(of_worker, 0.75);
        cost.most += 1000 / quantile(of_worker, 0.25);
        const double ns = central_of(of_worker);
        cost.ns += ns / static_cast<double>(samples.size());
        cost.packets_per_us += 1000 / ns;
    }
    return cost;
}

}  // namespace

Time Time::of_rounds(double a_second) {
    Time time;
    time.begun_ms_ = now_ms();
    time.step_ms_ = 1000 / a_second;
    return time;
}

void Trial::verify(unsigned workers, std::uint64_t count, const Traffic& traffic) {
    send(Purpose::verify, workers, count, traffic);
}

Cost Trial::time(Purpose purpose, unsigned workers, std::uint64_t count, const Traffic& traffic,
                 Central central) {
    const Batches batches = send(purpose, workers, count, traffic);
    by_batch_.clear();
    for (const BatchTime& batch : batches.front())
        by_batch_.push_back(batch.cycles.front() * 1e9 / static_cast<double>(rte_get_tsc_hz()) -
                            rings_ns_);
    return summarize(batches, rings_ns_, central);
}

double Trial::calibrate(unsigned workers, const Traffic& traffic) {
    const std::uint64_t frames = std::uint64_t{64} * batch_;
    rings_ns_ =
        summarize(send(Purpose::calibrate, workers, frames, traffic), 0, Central::median_of_parts)
            .ns;
    return rings_ns_;
}

Trial::Batches Trial::send(Purpose purpose, unsigned workers, std::uint64_t count,
                           const Traffic& traffic) {
    Batches batches(workers);
    Meeting meeting(workers);
    lost_ = 0;
    bed_.on_workers(workers, [&](unsigned worker) {
        try {
            send_lane(purpose, worker, count, traffic, batches[worker],
                      [&meeting] { meeting.meet(); });
        } catch (...) {
            meeting.call_off();
            throw;
        }
    });
    expect(lost_ == 0, "packets were lost");
    return batches;
}

void Trial::send_lane(Purpose purpose, unsigned worker, std::uint64_t count, const Traffic& traffic,
                      std::vector<BatchTime>& batches, const std::function<void()>& meet) {
    const auto lane = std::make_unique<Lane>(bed_, worker);
    dpdk::Worker& rounds = bed_.worker(worker);
    Mover mover{bed_, static_cast<std::uint16_t>(worker)};
    batches.reserve(count / batch_ + 1);
    rounds.begin();
    for (std::uint64_t first = 0; first < count; first += batch_) {
        const auto size =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(batch_, count - first));
        lane->write(size, [&](std::uint32_t i) { return traffic(worker, first + i); });
        // Nobody waits for a grace period of one who waits for him.
        rounds.end();
        meet();
        rounds.begin();
        batches.push_back(purpose == Purpose::calibrate ? lane->run(mover, time_)
                          : instead_ != nullptr         ? lane->run(*instead_, time_)
                                                        : lane->run(rounds, time_));
        lost_ += size - lane->out_count();
        if (purpose == Purpose::verify || purpose == Purpose::time_and_verify) {
            if (check_)
                check_(*lane);
            else
                translations_.check(*lane, bed_);
        }
        lane->release();
    }
    rounds.end();
}

}  // namespace noclash::bench
