// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace noclash::cpsload {

/// The data that a connection sends and wants back: its initial sequence number (its name in UDP,
/// where there is no other), and bytes that look random and follow from it.
class Payload {
  public:
    explicit Payload(std::uint32_t isn) : isn_(isn) {}

    void write(std::span<std::uint8_t> out) const {
        std::size_t at = 0;
        for (; at + sizeof(std::uint64_t) <= out.size(); at += sizeof(std::uint64_t)) {
            const std::uint64_t bytes = word(at);
            std::memcpy(out.data() + at, &bytes, sizeof bytes);
        }
        if (at == out.size()) return;
        const std::uint64_t rest = word(at);
        std::memcpy(out.data() + at, &rest, out.size() - at);
    }

    [[nodiscard]] bool is(std::span<const std::uint8_t> bytes) const {
        std::size_t at = 0;
        std::uint64_t difference = 0;
        for (; at + sizeof(std::uint64_t) <= bytes.size(); at += sizeof(std::uint64_t)) {
            std::uint64_t there;
            std::memcpy(&there, bytes.data() + at, sizeof there);
            difference |= there ^ word(at);
        }
        if (at == bytes.size()) return difference == 0;
        const std::uint64_t rest = word(at);
        return difference == 0 && std::memcmp(bytes.data() + at, &rest, bytes.size() - at) == 0;
    }

    /// The initial sequence number that a payload names; nothing when it is no payload of ours,
    /// which its first eight bytes tell.
    [[nodiscard]] static std::optional<std::uint32_t> isn_in(std::span<const std::uint8_t> bytes) {
        std::uint64_t first = 0;
        if (bytes.size() < sizeof first) return std::nullopt;
        std::memcpy(&first, bytes.data(), sizeof first);
        const auto isn = static_cast<std::uint32_t>(first);
        if (Payload(isn).word(0) != first) return std::nullopt;
        return isn;
    }

  private:
    [[nodiscard]] std::uint64_t word(std::size_t at) const {
        // A multiplication and a shift mix what is to look random, not to be so.
        std::uint64_t mixed = (isn_ + 1 + (std::uint64_t{at} << 32U)) * 0x9e3779b97f4a7c15U;
        mixed ^= mixed >> 32U;
        return at == 0 ? mixed << 32U | isn_ : mixed;
    }

    std::uint32_t isn_;
};

}  // namespace noclash::cpsload
