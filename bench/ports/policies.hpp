// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a NAT gateway chooses the port of a new flow: noclash's way, and models of its peers'. They
// model the order of the tries and when to give up, nothing else: all ask the same tuple index
// whether a port is taken, so that the difference between them is the policy alone.

#include <concepts>
#include <cstdint>

#include "nat/ports/port_allocator.hpp"

namespace noclash::bench {

using Claim = Reservation<V4>;
using Crowded = nat::OccupancyMaps<V4, Production>;

/// Reserves `reply` with a port out of `range` as its destination port. Made for a flow table.
template <class P>
concept Policy = std::constructible_from < P,
        FlowTable<V4>
& > &&requires(P policy, Claim& claim, const Tuple<V4>& reply, nat::PortRange range, Moment now,
               const Flow<V4, Production>& flow) {
    { policy.reserve(claim, reply, range, now) } -> std::same_as<SetupError>;
    { policy.top_up() } -> std::same_as<void>;  // between bursts
    { policy.ended(flow) } -> std::same_as<void>;
};

/// The real thing.
class Noclash {
  public:
    explicit Noclash(FlowTable<V4>& table) : crowded_(table), proposals_(crowded_) {}

    SetupError reserve(Claim& claim, const Tuple<V4>& reply, nat::PortRange range, Moment now) {
        return proposals_.reserve(
            claim, reply,
            {.addresses = {&reply.destination, 1}, .ports = range, .reserved = &reserved_}, now);
    }
    void top_up() { proposals_.top_up(); }
    void ended(const Flow<V4, Production>& flow) { crowded_.ended(flow); }

  private:
    nat::ReservedPorts<V4> reserved_{{}};
    Crowded crowded_;
    nat::PortAllocator<V4, Production> proposals_;
};

/// The common part of the models: tries in a row, and random numbers.
class Model {
  public:
    explicit Model(FlowTable<V4>&) {}
    void top_up() { random_.top_up(); }
    void ended(const Flow<V4, Production>&) {}

  protected:
    /// Tries `tries` ports in a row from an offset into the range on, around its end.
    static bool probe(Claim& claim, Tuple<V4> reply, nat::PortRange range, std::uint32_t offset,
                      std::uint32_t tries) {
        for (std::uint32_t i = 0; i < tries; ++i) {
            const std::uint32_t port = range.first + (offset + i) % range.size();
            reply.destination_port = Be16::from_host(static_cast<std::uint16_t>(port));
            if (claim.reserve(reply) == SetupError::none) return true;
        }
        return false;
    }
    static SetupError verdict(bool found) {
        return found ? SetupError::none : SetupError::exhausted;
    }

    RandomBuffer random_;
};

/// Ten independent random ports, then the packet is dropped: VPP's nat44-ed.
class RandomTries : public Model {
  public:
    using Model::Model;
    SetupError reserve(Claim& claim, const Tuple<V4>& reply, nat::PortRange range, Moment) {
        for (int i = 0; i < 10; ++i)
            if (probe(claim, reply, range, random_.below(range.size()), 1)) return verdict(true);
        return verdict(false);
    }
};

/// 128 ports in a row from a random one on, then 64 from another, 32, 16, 8: netfilter.
class NetfilterProbes : public Model {
  public:
    using Model::Model;
    SetupError reserve(Claim& claim, const Tuple<V4>& reply, nat::PortRange range, Moment) {
        for (std::uint32_t tries = 128; tries >= 8; tries /= 2)
            if (probe(claim, reply, range, random_.below(range.size()), tries))
                return verdict(true);
        return verdict(false);
    }
};

/// Each of 16 workers has a slice of the ports of its own and searches all of it. A flow belongs to
/// whichever worker its packets are hashed to.
class WorkerSlices : public Model {
  public:
    using Model::Model;
    SetupError reserve(Claim& claim, const Tuple<V4>& reply, nat::PortRange range, Moment) {
        const std::uint32_t size = range.size() / workers;
        const std::uint32_t first = range.first + random_.below(workers) * size;
        const nat::PortRange slice{static_cast<std::uint16_t>(first),
                                   static_cast<std::uint16_t>(first + size - 1)};
        return verdict(probe(claim, reply, slice, random_.below(size), size));
    }

  private:
    static constexpr std::uint32_t workers = 16;
};

/// Every port, in a row from a random one on: complete, as far as time allows.
class LinearScan : public Model {
  public:
    using Model::Model;
    SetupError reserve(Claim& claim, const Tuple<V4>& reply, nat::PortRange range, Moment) {
        return verdict(probe(claim, reply, range, random_.below(range.size()), range.size()));
    }
};

}  // namespace noclash::bench
