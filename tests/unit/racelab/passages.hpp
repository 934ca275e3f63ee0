// SPDX-License-Identifier: Apache-2.0
#pragma once

// Packets of clients behind a gateway to one service, step by step.

#include "bench/racelab/addresses.hpp"
#include "bench/racelab/contestant.hpp"

namespace noclash::racelab::test {

/// Client number `client`, from `port`; forwarded to the pod.
inline Passage passage(std::uint32_t id, std::uint32_t client, std::uint16_t port,
                       std::uint8_t number = protocol::tcp, SourceNat nat = SourceNat::masquerade) {
    Passage result;
    result.id = id;
    result.packet.original = {V4Address::from_host(first_source.value.host() + client),
                              service,
                              Be16::from_host(port),
                              Be16::from_host(service_port),
                              0,
                              number,
                              0};
    result.packet.backend = pod;
    result.packet.backend_port = pod_port;
    result.packet.source_nat = nat;
    return result;
}

/// Chooses and confirms at once.
inline std::optional<Tuple<V4>> pass(Contestant& gateway, const Passage& one) {
    if (gateway.choose(one, one.choose) != Contestant::Choice::made) return std::nullopt;
    return gateway.confirm(one, one.choose);
}

/// Both choose before either confirms.
struct Raced {
    std::optional<Tuple<V4>> first, second;
};
inline Raced race(Contestant& gateway, const Passage& first, const Passage& second) {
    gateway.choose(first, 0);
    gateway.choose(second, 0);
    Raced result;
    result.first = gateway.confirm(first, 0);
    result.second = gateway.confirm(second, 0);
    return result;
}

}  // namespace noclash::racelab::test
