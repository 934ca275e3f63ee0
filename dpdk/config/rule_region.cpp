// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/rule_region.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "dpdk/config/protocol_names.hpp"
#include "dpdk/config/values.hpp"
#include "nat/packet/protocols.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::size_t most_boxes = 1024;  // of a rule

constexpr std::array intervals{&PacketBox::source, &PacketBox::destination, &PacketBox::source_port,
                               &PacketBox::destination_port};

bool meet(Interval a, Interval b) {
    return a.first <= b.last && b.first <= a.last;
}

bool meet(const PacketBox& a, const PacketBox& b) {
    return (a.ingress & b.ingress) != 0 && (a.protocols & b.protocols).any() &&
           std::ranges::all_of(intervals, [&](auto part) { return meet(a.*part, b.*part); });
}

/// The union of the prefixes as intervals, those that touch joined. No prefix is every address.
std::vector<Interval> united(std::span<const Prefix<V4>> prefixes) {
    if (prefixes.empty()) return {Interval{}};
    std::vector<Interval> all;
    for (const Prefix<V4>& prefix : prefixes)
        all.push_back({prefix.network.value.host(),
                       broadcast_of(prefix.network, prefix.length).value.host()});
    std::ranges::sort(all, {}, &Interval::first);
    std::vector<Interval> joined{all.front()};
    for (const Interval& next : all) {
        Interval& last = joined.back();
        if (last.last == ~0U || next.first <= last.last + 1)
            last.last = std::max(last.last, next.last);
        else
            joined.push_back(next);
    }
    return joined;
}

constexpr Interval just(std::uint32_t value) {
    return {value, value};
}

}  // namespace

RuleRegions::RuleRegions(const Config& config) {
    for (std::size_t port = 0; port < config.ports.size() && port < 32; ++port)
        everything_.ingress |= 1U << port;
    for (unsigned protocol = 0; protocol < 256; ++protocol)
        everything_.protocols[protocol] = parse_protocol(std::to_string(protocol)).has_value();
    of_rule_.reserve(config.policy.rules.size());
    for (const auto& rule : config.policy.rules)
        of_rule_.push_back(boxes_of(rule));
}

std::optional<std::vector<PacketBox>> RuleRegions::boxes_of(const nat::Rule<V4>& rule) const {
    PacketBox box = everything_;
    if (rule.ingress_port) box.ingress = 1U << *rule.ingress_port;
    if (rule.protocol) box.protocols = std::bitset<256>().set(*rule.protocol);
    if (rule.mapping) {
        PacketBox leaves = box;
        leaves.source = just(rule.mapping->inside.address.value.host());
        if (rule.mapping->inside.port) leaves.source_port = just(*rule.mapping->inside.port);
        PacketBox enters = box;
        enters.destination = just(rule.mapping->outside.address.value.host());
        if (rule.mapping->outside.port) enters.destination_port = just(*rule.mapping->outside.port);
        return std::vector{leaves, enters};
    }
    if (rule.to_port) {
        for (unsigned protocol = 0; protocol < 256; ++protocol)
            if (!nat::ip_protocol::has_ports(static_cast<std::uint8_t>(protocol)))
                box.protocols.reset(protocol);
        box.destination_port = {rule.to_port->first, rule.to_port->last};
    }
    const auto from = united(rule.from);
    const auto to = united(rule.to);
    if (from.size() * to.size() > most_boxes) return std::nullopt;
    std::vector<PacketBox> boxes;
    for (const Interval& source : from) {
        for (const Interval& destination : to) {
            box.source = source;
            box.destination = destination;
            boxes.push_back(box);
        }
    }
    return boxes;
}

bool PacketSet::take_away(const PacketBox& box) {
    if (too_many_) return false;
    const auto untouched =
        std::partition(boxes_.begin(), boxes_.end(), [&](const auto& b) { return meet(b, box); });
    if (untouched == boxes_.begin()) return false;
    std::vector<PacketBox> left(untouched, boxes_.end());
    boxes_.erase(untouched, boxes_.end());
    for (PacketBox& rest : boxes_) {
        // In each dimension, the part outside of `box` stays; the next divides the part inside.
        if (PacketBox other = rest; (other.ingress &= ~box.ingress) != 0) left.push_back(other);
        rest.ingress &= box.ingress;
        if (PacketBox other = rest; (other.protocols &= ~box.protocols).any())
            left.push_back(other);
        rest.protocols &= box.protocols;
        for (const auto part : intervals) {
            Interval& inside = rest.*part;
            const Interval cut = box.*part;
            PacketBox other = rest;
            if (inside.first < cut.first) {
                (other.*part).last = cut.first - 1;
                left.push_back(other);
                inside.first = cut.first;
            }
            other = rest;
            if (inside.last > cut.last) {
                (other.*part).first = cut.last + 1;
                left.push_back(other);
                inside.last = cut.last;
            }
        }
        if (left.size() > most) {
            too_many_ = true;
            break;
        }
    }
    boxes_ = std::move(left);
    return true;
}

}  // namespace noclash::dpdk
