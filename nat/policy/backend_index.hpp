// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "nat/policy/service.hpp"

namespace noclash::nat {

/// Finds backends of a list by address and port in about one step: openings and the ends of flows
/// ask for them, in lists of up to 1,024. Open addressing in at least twice as many slots as there
/// are backends, each a place in the list; never changed.
template <class Family>
class BackendIndex {
  public:
    /// @param backends    fewer than 65,535, no two with one address and port
    /// @param backend_of  the backend of an element: a function or a member
    template <class Range, class BackendOf>
    BackendIndex(const Range& backends, BackendOf&& backend_of)
        : slots_(std::bit_ceil(2 * std::size(backends) + 1), empty) {
        std::uint16_t place = 0;
        for (const auto& element : backends) {
            const Backend<Family>& backend = std::invoke(backend_of, element);
            std::size_t slot = first_slot(backend.address, backend.port);
            while (slots_[slot] != empty)
                slot = next(slot);
            slots_[slot] = place++;
        }
    }

    /// The place of the backend with just this address and port.
    /// @param backend_at  the backend at a place of the list that the index was made of
    template <class BackendAt>
    [[nodiscard]] std::optional<std::size_t> find(const typename Family::Address& address,
                                                  std::uint16_t port,
                                                  BackendAt&& backend_at) const {
        for (std::size_t slot = first_slot(address, port); slots_[slot] != empty;
             slot = next(slot)) {
            const Backend<Family>& backend = backend_at(slots_[slot]);
            if (backend.address == address && backend.port == port) return slots_[slot];
        }
        return std::nullopt;
    }

  private:
    static constexpr std::uint16_t empty = 0xffff;

    [[nodiscard]] std::size_t first_slot(const typename Family::Address& address,
                                         std::uint16_t port) const {
        const std::uint64_t identity = backend_identity<Family>(address, port);
        return static_cast<std::size_t>((identity * 0x9e37'79b9'7f4a'7c15U) >> 32U) &
               (slots_.size() - 1);
    }
    [[nodiscard]] std::size_t next(std::size_t slot) const {
        return (slot + 1) & (slots_.size() - 1);
    }

    std::vector<std::uint16_t> slots_;
};

}  // namespace noclash::nat
