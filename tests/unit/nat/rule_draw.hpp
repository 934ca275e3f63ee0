// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "nat/packet/protocols.hpp"
#include "nat/policy/policy.hpp"

namespace noclash::nat::test {

/// Draws rules and packets from few values, so that most packets match several rules.
template <class Family>
class Draw {
  public:
    explicit Draw(std::uint32_t seed) : random_(seed) {}

    std::size_t below(std::size_t bound) { return random_() % bound; }
    bool one_of(std::size_t count) { return below(count) == 0; }

    typename Family::Address address() {
        typename Family::Address drawn;
        std::array<std::uint8_t, sizeof drawn> bytes{};
        constexpr std::array<std::uint8_t, 4> values{0, 10, 128, 255};
        for (std::uint8_t& byte : bytes)
            byte = one_of(2) ? 10 : values[below(4)];
        std::memcpy(&drawn, bytes.data(), sizeof drawn);
        return drawn;
    }
    /// Of the prefixes of one list: there are not more shapes of rules than a `TupleSpace` takes.
    void draw_lengths() {
        for (std::uint8_t& length : lengths_)
            length = static_cast<std::uint8_t>(below(Family::address_bits + 1));
    }
    /// With bits beyond its length, which do not count.
    Prefix<Family> prefix() {
        constexpr std::uint8_t host = Family::address_bits;
        return {address(), one_of(3) ? host : lengths_[below(lengths_.size())]};
    }
    std::vector<Prefix<Family>> prefixes() {
        std::vector<Prefix<Family>> drawn(one_of(2) ? 0 : one_of(4) ? 2 + below(3) : 1);
        for (Prefix<Family>& one : drawn)
            one = prefix();
        return drawn;
    }
    std::uint8_t protocol() {
        constexpr std::array<std::uint8_t, 6> some{ip_protocol::tcp,  ip_protocol::udp,
                                                   ip_protocol::icmp, ip_protocol::gre,
                                                   ip_protocol::sctp, 255};
        return some[below(some.size())];
    }
    std::uint16_t ingress_port() {
        constexpr std::array<std::uint16_t, 6> some{0, 1, 2, 63, 64, 65535};
        return some[one_of(2) ? below(2) : below(some.size())];
    }
    std::uint16_t port() {
        constexpr std::array<std::uint16_t, 5> some{0, 1, 80, 443, 65535};
        return one_of(2) ? some[below(5)] : static_cast<std::uint16_t>(75 + below(10));
    }
    Target<Family> endpoint(bool with_port) {
        Target<Family> end{address(), {}};
        if (with_port) end.port = port();
        return end;
    }
    Rule<Family> rule() {
        Rule<Family> drawn;
        drawn.action = one_of(3) ? Action::dnat : Action::forward;
        if (one_of(3)) drawn.ingress_port = ingress_port();
        if (one_of(2)) drawn.protocol = protocol();
        if (one_of(8)) {
            const bool with_port = one_of(2);
            drawn.action = Action::bind;
            drawn.mapping = StaticMapping<Family>{endpoint(with_port), endpoint(with_port)};
            return drawn;
        }
        drawn.from = prefixes();
        drawn.to = prefixes();
        if (!one_of(3)) return drawn;
        const std::uint16_t first = port(), second = one_of(2) ? first : port();
        drawn.to_port = PortRange{std::min(first, second), std::max(first, second)};
        return drawn;
    }
    std::vector<Rule<Family>> rules(std::size_t count) {
        draw_lengths();
        std::vector<Rule<Family>> drawn;
        for (std::size_t i = 0; i < count; ++i)
            drawn.push_back(i > 0 && one_of(8) ? drawn[below(i)] : rule());
        return drawn;
    }
    Tuple<Family> packet() {
        Tuple<Family> tuple{};
        tuple.source = address();
        tuple.destination = address();
        tuple.source_port = Be16::from_host(port());
        tuple.destination_port = Be16::from_host(port());
        tuple.protocol = protocol();
        return tuple;
    }
    /// One that a rule of the list is likely to match.
    Tuple<Family> packet_for(const Rule<Family>& rule) {
        Tuple<Family> tuple = packet();
        if (rule.protocol) tuple.protocol = *rule.protocol;
        if (rule.mapping) {
            const bool leaves = one_of(2);
            const Target<Family>& end = leaves ? rule.mapping->inside : rule.mapping->outside;
            (leaves ? tuple.source : tuple.destination) = end.address;
            if (end.port)
                (leaves ? tuple.source_port : tuple.destination_port) = Be16::from_host(*end.port);
        }
        if (!rule.from.empty() && !one_of(4))
            tuple.source = rule.from[below(rule.from.size())].network;
        if (!rule.to.empty() && !one_of(4))
            tuple.destination = rule.to[below(rule.to.size())].network;
        if (rule.to_port && !one_of(4))
            tuple.destination_port =
                Be16::from_host(one_of(2) ? rule.to_port->first : rule.to_port->last);
        return tuple;
    }

  private:
    std::mt19937 random_;
    std::array<std::uint8_t, 5> lengths_{};
};

}  // namespace noclash::nat::test
