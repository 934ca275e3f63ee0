// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/neighbor_keeper.hpp"

#include <algorithm>

namespace noclash::dpdk {
namespace {

// A thousand targets are asked within 16 ms of the start, and looked at 60 times a second.
constexpr std::size_t pinned_a_millisecond = 64;
constexpr std::uint64_t verification_ms = 2000;  // more than it takes
constexpr std::uint64_t pause_ms = 5000;         // of a pinned neighbour that did not answer

/// Not for the sender of a probe, who has no address yet, nor for the first and last address.
bool is_host(const Prefix<V4>& subnet, const V4Address& address) {
    const std::uint32_t host_bits = subnet.length < 31 ? ~0U >> subnet.length : 0;
    const std::uint32_t host = address.value.host() & host_bits;
    return subnet.contains(address) && (host_bits == 0 || (host != 0 && host != host_bits));
}

}  // namespace

NeighborKeeper::NeighborKeeper(Gateway& gateway, Egress& egress, WorkerCounters& counters,
                               Duty duty)
    : gateway_(gateway), egress_(egress), counters_(counters), duty_(duty) {}

void NeighborKeeper::take(std::span<const PinnedNeighbor> pinned) {
    if (duty_ == Duty::own) return;
    pinned_.clear();
    next_pinned_ = 0;
    for (const PinnedNeighbor& neighbor : pinned)
        if (!neighbor.mac) pinned_.push_back({{neighbor.port, neighbor.address}});
}

void NeighborKeeper::handle(std::uint16_t port, const nat::ArpMessage& message, Round by) {
    const RouteTable& router = by.policy.router;
    round(by.now_ms);
    const Prefix<V4>& subnet = router.subnet(port);
    // Pool addresses in the port's subnet have no host of their own: we answer for them (RFC 1027).
    const bool for_us = message.target_ip == router.port_address(port) ||
                        (subnet.contains(message.target_ip) && router.is_own(message.target_ip));
    if (is_host(subnet, message.sender_ip)) {
        // A retired address may have another owner by now.
        if (router.is_own(message.sender_ip) && !router.is_retired(message.sender_ip))
            defend(port, message);
        else
            learn(port, message, for_us ? LearnMode::create_or_update : LearnMode::update_existing);
    }
    if (for_us && message.operation == nat::ArpOperation::request)
        egress_.send_arp(port, nat::arp_reply(message, gateway_.macs[port]), message.sender_mac);
}

void NeighborKeeper::learn(std::uint16_t port, const nat::ArpMessage& message, LearnMode mode) {
    const Learned learned =
        gateway_.neighbors.learn(port, message.sender_ip, message.sender_mac, round_ms(), mode);
    const auto tell = [&](NeighborNews news) {
        events_.push({news, port, message.sender_ip, learned.known, learned.claimed});
    };
    switch (learned.outcome) {
        case Learning::nothing:
            break;
        case Learning::moved:
            counters_.neighbor_moved.add();
            tell(NeighborNews::moved);
            break;
        case Learning::kept:
            counters_.neighbor_claims.add();
            tell(NeighborNews::kept);
            break;
        case Learning::refused:
            counters_.neighbor_claims.add();
            tell(NeighborNews::refused);
            break;
        case Learning::doubted: {
            egress_.ask(port, message.sender_ip, learned.known);
            // Where none is unused, packets to the neighbour drive it.
            const auto unused = std::ranges::find_if(
                doubted_, [&](const Place& one) { return one.until_ms <= round_ms(); });
            if (unused != doubted_.end())
                *unused = {port, message.sender_ip, round_ms() + verification_ms};
            break;
        }
    }
}

/// Another station uses an address of ours. Ours must not change [RFC 5227 section 2.4]: clients
/// and peers know it. So it is announced again, and the operator is told.
void NeighborKeeper::defend(std::uint16_t port, const nat::ArpMessage& message) {
    // Two ports on one link hear each other.
    const auto is_sender = [&](const nat::MacAddress& own) { return own == message.sender_mac; };
    if (std::ranges::any_of(gateway_.macs, is_sender)) return;
    counters_.address_conflicts.add();
    events_.push(
        {NeighborNews::conflict, port, message.sender_ip, gateway_.macs[port], message.sender_mac});
    if (gateway_.defense.due(message.sender_ip, round_ms()))
        egress_.send_arp(port, nat::arp_announcement(gateway_.macs[port], message.sender_ip),
                         nat::broadcast_mac);
}

void NeighborKeeper::advance() {
    const std::uint64_t now_ms = round_ms();
    for (std::size_t left = std::min(pinned_.size(), pinned_a_millisecond); left > 0; --left) {
        Pinned& one = pinned_[next_pinned_];
        if (one.not_before_ms <= now_ms && advance(one.place) == NeighborState::failed)
            one.not_before_ms = now_ms + pause_ms;
        next_pinned_ = next_pinned_ + 1 == pinned_.size() ? 0 : next_pinned_ + 1;
    }
    for (const Place& one : doubted_)
        if (one.until_ms > now_ms) (void)advance(one);
}

NeighborState NeighborKeeper::advance(const Place& place) {
    const Resolution found = gateway_.neighbors.advance(place.port, place.address, round_ms());
    if (found.ask_now) egress_.ask(place.port, place.address, found.ask_at);
    return found.state;
}

}  // namespace noclash::dpdk
