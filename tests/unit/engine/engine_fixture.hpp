// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "engine/reservation.hpp"

namespace noclash::test {

template <class Family>
typename Family::Address address(std::uint32_t number) {
    typename Family::Address result{};
    auto* bytes = reinterpret_cast<std::uint8_t*>(&result);
    for (unsigned i = 0; i < 4; ++i)
        bytes[sizeof(result) - 1 - i] = static_cast<std::uint8_t>(number >> (8 * i));
    return result;
}

/// A TCP tuple; different arguments, different tuples.
template <class Family>
Tuple<Family> tuple(std::uint32_t source, std::uint16_t port,
                    std::uint32_t destination = 0x0a020002, std::uint16_t destination_port = 80) {
    return {address<Family>(source),
            address<Family>(destination),
            Be16::from_host(port),
            Be16::from_host(destination_port),
            0,
            6,
            0};
}

/// A table with one worker, which is online.
template <class Family>
struct OneWorker {
    explicit OneWorker(std::uint32_t flows = 1024) : table(flows, 1, 2), worker(table, 0, 0) {
        worker.online();
    }

    /// Sets a flow up whose reply tuple is the inverse of the original.
    FlowId add(const Tuple<Family>& original, Moment expires = 1000, std::uint64_t now_ms = 0) {
        Reservation<Family> reservation(worker, original);
        if (reservation.error() != SetupError::none) return no_flow;
        if (reservation.reserve(original.inverse()) != SetupError::none) return no_flow;
        return reservation.publish(expires, now_ms);
    }
    Found find(const Tuple<Family>& key) const {
        return table.index().find(key, table.index().hash(key));
    }
    /// Lets retired flows through their grace period.
    void settle(std::uint64_t now_ms = 0) {
        for (int i = 0; i < 4; ++i) {
            worker.quiescent();
            worker.maintain(now_ms, 1U << 20U, [](const auto&) {});
        }
    }

    FlowTable<Family> table;
    FlowWorker<Family> worker;
};

}  // namespace noclash::test
