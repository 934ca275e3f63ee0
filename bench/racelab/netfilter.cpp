// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/netfilter.hpp"

#include <stdexcept>

namespace noclash::racelab {
namespace {

Tuple<V4> source_key(const Tuple<V4>& original) {
    Tuple<V4> key{};
    key.source = original.source;
    key.source_port = original.source_port;
    key.protocol = original.protocol;
    return key;
}

/// The protocol's `allow_clash`.
bool allows_clash(std::uint8_t number) {
    return number == protocol::udp;
}

}  // namespace

Contestant::Choice Netfilter::choose(const Passage& passage, Instant) {
    const Packet& packet = passage.packet;
    // resolve_normal_ct()
    if (Entry* known = find(packet.original)) {
        in_flight_[passage.id] = {known, true};
        return Choice::made;
    }
    Entry& own = entries_.emplace_back(Entry{packet.original, packet.original.inverse()});
    // nf_nat_setup_info(), in prerouting: a port is given, so get_unique_tuple() asks nobody.
    own.reply.source = packet.backend;
    own.reply.source_port = Be16::from_host(packet.backend_port);
    own.translated = own.reply != own.original.inverse();
    // nf_nat_setup_info(), in postrouting.
    const Tuple<V4> wanted = own.reply.inverse();
    const Tuple<V4> chosen = unique_source(own, packet.source_nat);
    own.translated = own.translated || chosen != wanted;
    own.reply = chosen.inverse();
    by_source_.emplace(source_key(own.original), &own);
    in_flight_[passage.id] = {&own, false};
    return Choice::made;
}

/// get_unique_tuple() for a source. The tuple is that of the packet as it will leave.
Tuple<V4> Netfilter::unique_source(const Entry& own, SourceNat nat) {
    Tuple<V4> wanted = own.reply.inverse();
    // nf_nat_alloc_null_binding(): any source will do, if it is the packet's own.
    if (nat == SourceNat::keep)
        return used_unchanged(wanted, own) ? search_port(wanted, own) : wanted;

    const bool keep = choice_ == PortChoice::keep_if_free;
    if (keep) {
        // A source that is mapped already stays mapped alike, towards other destinations too.
        if (const Entry* mapped = appropriate_source(own.original)) {
            Tuple<V4> alike = wanted;
            alike.source = mapped->reply.destination;
            alike.source_port = mapped->reply.destination_port;
            if (!used(alike, own)) return alike;
        }
    }
    wanted.source = gateway_;
    const std::uint16_t port = wanted.source_port.host();
    const bool in_range =
        !ports_ || (port >= ports_->first && port - std::uint32_t{ports_->first} < ports_->size);
    if (keep && in_range && !used(wanted, own)) return wanted;
    return search_port(wanted, own);
}

Tuple<V4> Netfilter::search_port(Tuple<V4> wanted, const Entry& own) {
    const PortSpace space = ports_.value_or(port_space_of(wanted.source_port.host()));
    const Probed probed = probe_ports(
        space, [this] { return static_cast<std::uint16_t>(random_()); },
        [&](std::uint16_t port) {
            wanted.source_port = Be16::from_host(port);
            return used(wanted, own);
        });
    wanted.source_port = Be16::from_host(probed.port);
    if (!probed.free) ++counts_.gave_up;
    return wanted;
}

/// find_appropriate_src(): an entry of the same source that the rule's range admits.
const Netfilter::Entry* Netfilter::appropriate_source(const Tuple<V4>& original) const {
    const auto [first, last] = by_source_.equal_range(source_key(original));
    for (auto at = first; at != last; ++at)
        if (at->second->reply.destination == gateway_) return at->second;
    return nullptr;
}

Netfilter::Entry* Netfilter::find(const Tuple<V4>& tuple) const {
    const auto found = confirmed_.find(tuple);
    return found == confirmed_.end() ? nullptr : found->second;
}

/// nf_nat_used_tuple(): is the reply to `wanted` a confirmed entry's?
bool Netfilter::used(const Tuple<V4>& wanted, const Entry& own) {
    ++tries_;
    const Entry* owner = find(wanted.inverse());
    if (owner == nullptr) return false;
    // The same connection, by another of its packets: confirming will settle it (5.0,
    // 4e35c1cb9460).
    if (owner->original == own.original && resolution_ != ClashResolution::without_nat)
        return false;
    ++counts_.found;
    return true;
}

/// nf_nat_used_tuple_new(): the packet of a connection without NAT that came from the other side at
/// the same moment is let through here, for the clash to be resolved.
bool Netfilter::used_unchanged(const Tuple<V4>& wanted, const Entry& own) {
    if (!used(wanted, own)) return false;
    if (!allows_clash(own.original.protocol) || own.translated) return true;
    const Entry* other = find(wanted);
    if (other == nullptr) other = find(wanted.inverse());
    return other == nullptr || other->translated || other->original != own.reply;
}

/// __nf_conntrack_confirm().
Netfilter::Verdict Netfilter::confirm(const Passage& passage, Instant) {
    const auto found = in_flight_.find(passage.id);
    if (found == in_flight_.end()) throw std::logic_error("a packet confirms what it never chose");
    const auto [entry, established] = found->second;
    in_flight_.erase(found);
    if (established) return entry->reply.inverse();

    Entry* winner = find(entry->original);
    if (winner == nullptr) winner = find(entry->reply);
    if (winner != nullptr) {
        const Verdict verdict = resolve_clash(*entry, *winner);
        if (!verdict) forget(*entry);
        if (!verdict || resolution_ != ClashResolution::any_reply) ++counts_.insert_failed;
        return verdict;
    }
    confirmed_.emplace(entry->original, entry);
    confirmed_.emplace(entry->reply, entry);
    ++counts_.insert;
    return entry->reply.inverse();
}

/// nf_ct_resolve_clash(): nothing is to drop the packet.
Netfilter::Verdict Netfilter::resolve_clash(Entry& loser, Entry& winner) {
    if (!allows_clash(loser.original.protocol)) return std::nullopt;
    if (resolution_ == ClashResolution::without_nat) {
        if (winner.translated || winner.original != loser.original) return std::nullopt;
        return adopt(loser);
    }
    const auto same = [&](const Entry& other) {
        const bool alike = other.original == loser.original && other.reply == loser.reply;
        const bool reverse = other.original == loser.reply && other.reply == loser.original;
        return alike || (reverse && resolution_ == ClashResolution::any_reply);
    };
    if (same(winner)) return adopt(loser);
    if (resolution_ == ClashResolution::same_nat) return std::nullopt;

    // nf_ct_resolve_clash_harder(): answers will find the loser by its reply tuple, for a second;
    // further packets of the connection find the winner.
    if (const Entry* owner = find(loser.reply)) {
        if (!same(*owner)) return std::nullopt;
        return adopt(loser);
    }
    confirmed_.emplace(loser.reply, &loser);
    ++counts_.clash_resolved;
    return loser.reply.inverse();
}

/// The packet goes on as the winner's. It was translated before, and alike.
Netfilter::Verdict Netfilter::adopt(const Entry& loser) {
    ++counts_.clash_resolved;
    forget(loser);
    return loser.reply.inverse();
}

void Netfilter::end(const Tuple<V4>& original) {
    Entry* entry = find(original);
    if (entry == nullptr) throw std::logic_error("a connection that nobody opened cannot end");
    confirmed_.erase(entry->original);
    confirmed_.erase(entry->reply);
    forget(*entry);
}

/// nf_nat_cleanup_conntrack().
void Netfilter::forget(const Entry& entry) {
    const auto [first, last] = by_source_.equal_range(source_key(entry.original));
    for (auto at = first; at != last; ++at) {
        if (at->second != &entry) continue;
        by_source_.erase(at);
        return;
    }
}

}  // namespace noclash::racelab
