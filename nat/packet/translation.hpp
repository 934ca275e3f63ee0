// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "engine/tuple.hpp"
#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::nat {

/// The change in the sums under the checksums of a flow's translated packets. Known once the
/// flow's tuples are, and kept by the flow: then a checksum costs a packet two additions.
struct Translation {
    checksum::SumChange addresses;
    checksum::SumChange all;  ///< addresses and ports
    /// Packets stay as they are. The sums do not tell: addresses that change places keep them.
    bool none = true;
};

/// The checksum deltas for packets with tuple `from` that are translated to tuple `to`.
[[nodiscard]] inline Translation translation(const Tuple<V4>& from, const Tuple<V4>& to) {
    const auto addresses = [](const Tuple<V4>& tuple) {
        return word_at<std::uint64_t>(reinterpret_cast<const std::uint8_t*>(&tuple));
    };
    const auto ports = [](const Tuple<V4>& tuple) {
        return word_at<std::uint32_t>(reinterpret_cast<const std::uint8_t*>(&tuple) +
                                      offsetof(Tuple<V4>, source_port));
    };
    if (addresses(from) == addresses(to) && ports(from) == ports(to)) return {};
    checksum::Delta delta;
    delta.replace(addresses(from), addresses(to));
    const checksum::SumChange of_addresses(delta);
    delta.replace(ports(from), ports(to));
    return {of_addresses, checksum::SumChange(delta), false};
}

/// Before the flow is published; of packets in its original direction.
template <class Record>
void keep(Record& flow, const Translation& translation) {
    flow.sum_changes = {translation.addresses.word(), translation.all.word()};
}

/// The `Translation` that `keep` kept, for packets of `direction`.
template <class Record>
[[nodiscard]] Translation translation_of(const Record& flow, Direction direction) {
    const auto words = std::bit_cast<std::uint32_t>(flow.sum_changes);
    // A sum of words that change is never 0 (`Delta::folded`); what takes it back may be.
    if (words == 0) [[unlikely]]
        return {};
    const std::uint32_t turned = words ^ (0U - static_cast<std::uint32_t>(direction));
    return {checksum::SumChange(static_cast<std::uint16_t>(turned)),
            checksum::SumChange(static_cast<std::uint16_t>(turned >> 16U)), false};
}

}  // namespace noclash::nat
