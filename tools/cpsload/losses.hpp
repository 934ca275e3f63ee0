// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

namespace noclash::cpsload {

/// Packets that arrived at the tester and that the tester itself lost, on each side: its receive
/// queue, or the ring of its socket, was full, or there was no buffer. With any of them nothing can
/// be said about a gateway.
struct TesterLosses {
    std::uint64_t client = 0;
    std::uint64_t server = 0;

    [[nodiscard]] std::uint64_t total() const { return client + server; }
    friend bool operator==(const TesterLosses&, const TesterLosses&) = default;
};

/// The losses since the tester knows its gateways. Makes system calls: not for each packet.
using LossMeter = std::function<TesterLosses()>;

}  // namespace noclash::cpsload
