// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/tuple.hpp"
#include "nat/packet/protocols.hpp"

namespace noclash::nat {

/// To which worker a device hands a packet, by receive side scaling (RSS).
///
/// The device hashes addresses and ports, both ends' (Toeplitz), and the low bits of the hash pick
/// a place of an indirection table, which names a queue; queue n is worker n's. The hash is linear
/// over XOR, hash(a ^ b) = hash(a) ^ hash(b), so what each byte of the tuple contributes is looked
/// up, and the remote end's part is computed once for all ports that are tried with it.
///
/// Advisory only: nothing that must be correct may depend on it, since devices can be set anew, and
/// replies may come another way. One for each port of the gateway; built once, read by all workers.
template <class Family>
class RssModel {
  public:
    using Address = typename Family::Address;

    /// The bytes that are hashed: those of a tuple up to its ports, as they lie in memory.
    static constexpr std::size_t input_bytes = 2 * sizeof(Address) + 2 * sizeof(Be16);
    using Input = std::array<std::uint8_t, input_bytes>;

    /// Protocols whose ports the device hashes.
    struct Protocols {
        bool tcp = false;
        bool udp = false;
    };

    /// The model of a device that nothing is known of.
    RssModel() = default;

    /// @param hash    `hash(input)`, linear over XOR
    /// @param queues  the indirection table; as many places as a power of two, 65,536 at most
    template <class Hash>
    RssModel(Hash&& hash, std::vector<std::uint16_t> queues, Protocols protocols)
        : queues_(std::move(queues)), protocols_(protocols) {
        tuples_for_one_.resize(std::size_t{1} + *std::ranges::max_element(queues_));
        for (std::size_t worker = 0; worker < tuples_for_one_.size(); ++worker) {
            const auto own = static_cast<std::size_t>(std::ranges::count(queues_, worker));
            tuples_for_one_[worker] =
                own == 0 ? 0 : static_cast<std::uint32_t>((queues_.size() + own - 1) / own);
        }
        const auto mask = static_cast<std::uint32_t>(queues_.size() - 1);
        for (std::size_t i = 0; i < input_bytes; ++i)
            for (std::size_t value = 0; value < 256; ++value) {
                Input input{};
                input[i] = static_cast<std::uint8_t>(value);
                parts_[i][value] = static_cast<std::uint16_t>(hash(input) & mask);
            }
    }

    /// Whether it is known where packets of this protocol go.
    [[nodiscard]] bool covers(std::uint8_t protocol) const {
        return (protocol == ip_protocol::tcp && protocols_.tcp) ||
               (protocol == ip_protocol::udp && protocols_.udp);
    }

    /// The part of a tuple's source in the hash.
    [[nodiscard]] std::uint16_t source_part(const Tuple<Family>& tuple) const {
        return static_cast<std::uint16_t>(part(0, tuple.source) ^
                                          part(2 * sizeof(Address), tuple.source_port));
    }
    /// The worker that a packet with this tuple comes to. Only for what `covers`.
    [[nodiscard]] std::uint16_t worker(std::uint16_t source_part,
                                       const Tuple<Family>& tuple) const {
        const auto place = source_part ^ part(sizeof(Address), tuple.destination) ^
                           part(2 * sizeof(Address) + sizeof(Be16), tuple.destination_port);
        return queues_[static_cast<std::size_t>(place)];
    }
    [[nodiscard]] std::uint16_t worker(const Tuple<Family>& tuple) const {
        return worker(source_part(tuple), tuple);
    }

    /// One of so many tuples comes to the worker, on average; 0: none does.
    [[nodiscard]] std::uint32_t tuples_for_one(std::uint16_t worker) const {
        return worker < tuples_for_one_.size() ? tuples_for_one_[worker] : 0;
    }

  private:
    template <class Field>
    [[nodiscard]] std::uint16_t part(std::size_t offset, const Field& field) const {
        std::array<std::uint8_t, sizeof field> bytes;
        std::memcpy(bytes.data(), &field, sizeof field);
        std::uint16_t result = 0;
        for (std::size_t i = 0; i < bytes.size(); ++i)
            result = static_cast<std::uint16_t>(result ^ parts_[offset + i][bytes[i]]);
        return result;
    }

    std::array<std::array<std::uint16_t, 256>, input_bytes> parts_{};  ///< by byte, and its value
    std::vector<std::uint16_t> queues_;
    std::vector<std::uint32_t> tuples_for_one_;  ///< by worker
    Protocols protocols_;
};

}  // namespace noclash::nat
