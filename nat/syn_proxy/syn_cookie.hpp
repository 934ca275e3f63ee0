// SPDX-License-Identifier: Apache-2.0
#pragma once

// # SYN cookies
//
// The initial sequence number of a SYN-ACK that the gateway sends in a backend's place says all
// that is to be known of the client's SYN (D. J. Bernstein, 1996; RFC 4987, section 3.6), so that
// nothing has to be kept until the client has shown that it receives what is sent to its address:
//
//     bits 0 to 2    the client's maximum segment size, of eight
//     bits 3 to 31   a keyed hash of both ends, the client's initial sequence number, its options,
//                    and the time in units of 65.5 s
//
// Options that have no room there stand in the low bits of the SYN-ACK's TSval, which the client
// echoes: its window scale (4 bits), whether it permits SACK (1), and the window scale that it was
// offered (4). The hash covers them, too. A client without timestamps gets neither SACK nor window
// scale.
//
// A cookie holds for 65 to 131 seconds: the clock goes into the hash, so each period has a secret
// of its own, which follows from one key. The key lasts as long as the gateway's state, restarts
// included.

#include <array>
#include <cstdint>
#include <optional>

#include "engine/tuple.hpp"
#include "nat/conntrack/syn_options.hpp"
#include "nat/policy/service.hpp"

namespace noclash::nat {

/// A client's opening, as a cookie tells.
struct ProxiedOpening {
    std::uint32_t client_sequence = 0;  ///< the client's initial sequence number
    std::uint32_t cookie = 0;           ///< the one that it got
    SynOptions client;  ///< timestamps as its ACK has them: of the client, and echoed
    std::uint8_t offered_scale = no_window_scale;
};

/// The SYN-ACK that answers a SYN.
struct CookieAnswer {
    std::uint32_t cookie = 0;
    SynOptions options;
};

/// Makes and reads cookies. Any thread.
template <class Family>
class SynCookies {
  public:
    using Key = std::array<std::uint64_t, 2>;

    static constexpr unsigned period_bits = 16;  ///< a period has 2^16 ms
    static constexpr std::array<std::uint16_t, 8> segment_sizes{536,  1200, 1300, 1360,
                                                                1400, 1440, 1460, 8960};

    /// @param master  a secret; cookies have a key that follows from it
    explicit SynCookies(const Key& master);

    /// @param original  of the client's SYN
    /// @param sequence  its sequence number
    [[nodiscard]] CookieAnswer answer(const Tuple<Family>& original, std::uint32_t sequence,
                                      const SynOptions& syn, const SynOffer& offer,
                                      std::uint64_t now_ms) const;

    /// The opening that an ACK completes; nothing when its cookie is wrong or too old. A probe of a
    /// closed window, one byte before what was sent last (RFC 9293, section 3.8.6.1), does as well.
    /// @param ack      its numbers
    /// @param options  its timestamps
    [[nodiscard]] std::optional<ProxiedOpening> read(const Tuple<Family>& original,
                                                     const TcpSegment& ack,
                                                     const SynOptions& options,
                                                     std::uint64_t now_ms) const;

  private:
    [[nodiscard]] std::uint32_t hash(const Tuple<Family>& original, std::uint32_t sequence,
                                     std::uint32_t details, std::uint64_t period) const;

    Key key_;
};

}  // namespace noclash::nat
