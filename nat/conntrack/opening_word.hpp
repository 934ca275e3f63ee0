// SPDX-License-Identifier: Apache-2.0
#pragma once

// # What a flow remembers of its opening
//
// `Flow::protocol_word` of a flow that was sent to a backend of a service. Nobody else needs the
// word so early: of TCP it holds where FINs end, of other protocols nothing.
//
//     bit 0      the backend has not answered, and is waited for: a token. Who clears it, counts
//                what has become of the opening, so that nothing is counted twice
//     1          the client has repeated its SYN or INIT
//     2          the opening has been counted as a failure
//     3          the SYN-ACK has come again although it had been acknowledged
//     4 to 11    `BackendCounters::tag`
//     12 to 31   when it began, the low bits of the time in ms
//
// The bits stand where the client's FIN will end, and that comes after the answer. The server's may
// come just behind its answer, on another worker, and leaves them as they are (tcp_closing.hpp).

#include <atomic>
#include <cstdint>

namespace noclash::nat {

class OpeningWord {
  public:
    static constexpr std::uint32_t waits = 1, repeated = 2, failed = 4, answer_repeated = 8;

    explicit constexpr OpeningWord(std::uint32_t bits) : bits_(bits) {}
    /// Of an opening that begins.
    constexpr OpeningWord(std::uint8_t tag, std::uint64_t now_ms)
        : bits_(static_cast<std::uint32_t>(now_ms << time_shift) | std::uint32_t{tag} << tag_shift |
                waits) {}

    [[nodiscard]] constexpr std::uint32_t bits() const { return bits_; }
    [[nodiscard]] constexpr bool has(std::uint32_t bit) const { return (bits_ & bit) != 0; }
    [[nodiscard]] constexpr std::uint8_t tag() const {
        return static_cast<std::uint8_t>(bits_ >> tag_shift);
    }
    /// How long ago it began, in ms, up to 2^20 (17 minutes).
    [[nodiscard]] constexpr std::uint32_t age_ms(std::uint64_t now_ms) const {
        const auto now = static_cast<std::uint32_t>(now_ms << time_shift);
        return (now - (bits_ >> time_shift << time_shift)) >> time_shift;
    }

  private:
    static constexpr unsigned tag_shift = 4, time_shift = 12;

    std::uint32_t bits_;
};

template <class Record>
[[nodiscard]] OpeningWord opening_word(const Record& flow) {
    return OpeningWord(flow.protocol_word.load(std::memory_order_relaxed));
}

/// @return the word before
template <class Record>
OpeningWord set_in_opening(Record& flow, std::uint32_t bit) {
    return OpeningWord(flow.protocol_word.fetch_or(bit, std::memory_order_relaxed));
}
template <class Record>
OpeningWord clear_in_opening(Record& flow, std::uint32_t bit) {
    return OpeningWord(flow.protocol_word.fetch_and(~bit, std::memory_order_relaxed));
}

}  // namespace noclash::nat
