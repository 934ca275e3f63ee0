// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/exhaustion.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/ports/measure.hpp"
#include "bench/racelab/addresses.hpp"
#include "bench/racelab/netfilter.hpp"

namespace noclash::racelab {
namespace {

constexpr nat::PortRange range{1024, 65535};
/// Taken ports, and flows that ended until their turn in the timer wheel comes.
constexpr std::uint32_t flows = 1U << 17U;

/// Opens one connection after the other at the same occupancy. `Side` opens and ends them.
template <class Side>
ExhaustionResult steady(const ExhaustionOptions& options, Side& side) {
    // As long again as the measurement: some policies' own choices shape what they meet later.
    for (std::uint32_t i = 0; i < options.attempts; ++i)
        side.attempt();
    ExhaustionResult result;
    result.free_ports = side.free();
    const std::uint64_t tries_before = side.tries();
    for (; result.attempts < options.attempts; ++result.attempts)
        if (side.attempt()) ++result.succeeded;
    result.tries_mean =
        static_cast<double>(side.tries() - tries_before) / static_cast<double>(options.attempts);
    return result;
}

/// netfilter's model. Clients use ports at random, and netfilter keeps those that are free.
class NetfilterSide {
  public:
    NetfilterSide(std::uint32_t taken, std::uint64_t seed)
        : netfilter_(gateway_address, PortChoice::keep_if_free, seed), random_(seed) {
        // Ports at random: given in advance by clients that keep theirs.
        std::vector<std::uint16_t> ports(range.size());
        std::iota(ports.begin(), ports.end(), range.first);
        std::ranges::shuffle(ports, random_);
        for (std::uint32_t i = 0; i < taken; ++i)
            if (!open(ports[i])) throw std::logic_error("a free port was refused");
    }

    bool attempt() {
        const auto port = static_cast<std::uint16_t>(range.first + random_() % range.size());
        if (!open(port)) return false;
        std::swap(open_[random_() % open_.size()], open_.back());
        netfilter_.end(open_.back());
        open_.pop_back();
        return true;
    }
    [[nodiscard]] std::uint64_t free() const { return range.size() - open_.size(); }
    [[nodiscard]] std::uint64_t tries() const { return netfilter_.tries(); }

  private:
    bool open(std::uint16_t port) {
        Passage passage;
        passage.id = clients_++;
        passage.packet.original = {V4Address::from_host(0x0b000000U + passage.id),
                                   pod,
                                   Be16::from_host(port),
                                   Be16::from_host(pod_port),
                                   0,
                                   protocol::tcp,
                                   0};
        passage.packet.backend = pod;
        passage.packet.backend_port = pod_port;
        passage.packet.source_nat = SourceNat::masquerade;
        netfilter_.choose(passage, 0);
        if (!netfilter_.confirm(passage, 0)) return false;
        open_.push_back(passage.packet.original);
        return true;
    }

    Netfilter netfilter_;
    std::mt19937_64 random_;
    std::vector<Tuple<V4>> open_;
    std::uint32_t clients_ = 0;
};

/// A policy of bench/ports over the real engine.
template <bench::Policy P>
class PolicySide {
  public:
    PolicySide(std::uint32_t taken, std::uint64_t seed)
        : gateway_(flows),
          destination_(0, range),
          random_(static_cast<std::mt19937::result_type>(seed)) {
        bench::occupy(gateway_, destination_, taken);
    }

    bool attempt() {
        const bench::Attempt attempt = gateway_.connect(destination_);
        if (attempt.error != SetupError::none) return false;
        ++reserved_;
        destination_.add(attempt.port, attempt.flow);
        gateway_.end(destination_.remove_any(random_));
        return true;
    }
    [[nodiscard]] std::uint64_t free() const { return destination_.free(); }
    [[nodiscard]] std::uint64_t tries() const {
        return gateway_.counters().found.value() + reserved_;
    }

  private:
    bench::Gateway<P> gateway_;
    bench::Destination destination_;
    std::mt19937 random_;
    std::uint64_t reserved_ = 0;
};

template <class Side>
ExhaustionResult run(const ExhaustionOptions& options, double occupancy_percent) {
    const auto taken =
        static_cast<std::uint32_t>(std::lround(occupancy_percent / 100 * range.size()));
    Side side(taken, options.seed);
    return steady(options, side);
}

}  // namespace

std::string name_of(Allocator allocator) {
    switch (allocator) {
        case Allocator::netfilter:
            return "netfilter";
        case Allocator::ten_tries:
            return "10-try";
        case Allocator::worker_slices:
            return "worker-slices";
        case Allocator::noclash:
            break;
    }
    return "noclash";
}

ExhaustionResult run_exhaustion(const ExhaustionOptions& options, Allocator allocator,
                                double occupancy_percent) {
    switch (allocator) {
        case Allocator::netfilter:
            return run<NetfilterSide>(options, occupancy_percent);
        case Allocator::ten_tries:
            return run<PolicySide<bench::RandomTries>>(options, occupancy_percent);
        case Allocator::worker_slices:
            return run<PolicySide<bench::WorkerSlices>>(options, occupancy_percent);
        case Allocator::noclash:
            break;
    }
    return run<PolicySide<bench::Noclash>>(options, occupancy_percent);
}

}  // namespace noclash::racelab
