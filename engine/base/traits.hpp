// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>

namespace noclash {

/// Quiescent-state reclamation, as the engine uses it. A *reader* is a registered thread; it is in
/// a critical section from one quiescent state to the next, or while online. Whatever was unlinked
/// before `start()` may be reused once `passed()` is true for the token: no reader can still see
/// it.
template <class Q>
concept Quiescence = requires(Q q, const Q cq, unsigned reader, std::uint64_t token) {
    { q.start() } -> std::same_as<std::uint64_t>;   // any thread, lock-free
    { q.passed(token) } -> std::same_as<bool>;      // any thread, never waits
    { q.quiescent(reader) } -> std::same_as<void>;  // by the reader itself
    { q.online(reader) } -> std::same_as<void>;     // by the reader, before it looks
    { q.offline(reader) } -> std::same_as<void>;    // by the reader, before it blocks
    { cq.readers() } -> std::same_as<unsigned>;
};

}  // namespace noclash
