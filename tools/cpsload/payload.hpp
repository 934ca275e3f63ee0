// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace noclash::cpsload {

/// What a connection sends and wants back: its initial sequence number (which names it in UDP,
/// where there is no other), and bytes that look random and follow from it.
class Payload {
  public:
    explicit Payload(std::uint32_t isn) : isn_(isn) {}

    void write(std::span<std::uint8_t> out) const {
        for (std::size_t at = 0; at < out.size(); at += sizeof(std::uint64_t)) {
            const std::uint64_t bytes = word(at);
            std::memcpy(out.data() + at, &bytes, std::min(sizeof bytes, out.size() - at));
        }
    }

    [[nodiscard]] bool is(std::span<const std::uint8_t> bytes) const {
        for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
            const std::uint64_t expected = word(at);
            if (std::memcmp(bytes.data() + at, &expected,
                            std::min(sizeof expected, bytes.size() - at)) != 0)
                return false;
        }
        return true;
    }

    /// The initial sequence number that a payload names, if it is long enough to.
    [[nodiscard]] static std::optional<std::uint32_t> isn_in(std::span<const std::uint8_t> bytes) {
        std::uint32_t isn = 0;
        if (bytes.size() < sizeof isn) return std::nullopt;
        std::memcpy(&isn, bytes.data(), sizeof isn);
        return isn;
    }

  private:
    [[nodiscard]] std::uint64_t word(std::size_t at) const {
        // A multiplication and a shift mix what is to look random, not to be so.
        std::uint64_t mixed = (isn_ + 1 + (std::uint64_t{at} << 32U)) * 0x9e3779b97f4a7c15U;
        mixed ^= mixed >> 32U;
        return at == 0 ? (mixed << 32U | isn_) : mixed;
    }

    std::uint32_t isn_;
};

}  // namespace noclash::cpsload
