// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

namespace noclash::closing {

/// Small, fast, and the same everywhere.
class Dice {
  public:
    explicit Dice(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15U + 1) {}
    std::uint32_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<std::uint32_t>(state_ >> 32);
    }
    /// 0 .. bound-1
    std::uint32_t below(std::uint32_t bound) {
        return static_cast<std::uint32_t>(std::uint64_t{next()} * bound >> 32);
    }
    bool percent(std::uint32_t chance) { return below(100) < chance; }

  private:
    std::uint64_t state_;
};

struct Segment {
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgment = 0;
    std::uint32_t window = 0;  ///< bytes
    std::uint16_t data = 0;    ///< bytes
    std::uint8_t flags = 0;
};

/// One end of a TCP connection (RFC 9293), without timers: the schedule says when it sends, and
/// what. Its stream consists of units of equal length, and ends with a FIN. What comes out of order
/// is kept.
class Endpoint {
  public:
    static constexpr unsigned most_units = 12;

    Endpoint(std::uint32_t first_sequence, std::uint32_t unit_bytes)
        : first_(first_sequence), unit_(unit_bytes) {}

    void connect() { syn_sent_ = true; }
    /// The application.
    void write() {
        if (!closes_ && written_ < most_units) ++written_;
    }
    void close() { closes_ = true; }
    void pause(bool reads_nothing) { paused_ = reads_nothing; }
    /// Forgets the connection; the RST that says so to the peer.
    Segment abort();

    /// Something that may be sent now; nothing when there is no connection.
    std::optional<Segment> send(Dice& dice);
    /// Takes a segment of `peer`, and gives the answer to be sent at once, if any.
    std::optional<Segment> receive(const Segment& segment, const Endpoint& peer);

    [[nodiscard]] bool is_open() const { return syn_acknowledged_ && peer_known_ && !reset_; }
    [[nodiscard]] bool was_reset() const { return reset_; }
    [[nodiscard]] bool aborted() const { return aborted_; }
    [[nodiscard]] bool syn_sent() const { return syn_sent_; }
    [[nodiscard]] bool all_acknowledged() const { return fin_acknowledged_; }
    /// It has all data and the FIN of `peer`, which has no more.
    [[nodiscard]] bool has_all_of(const Endpoint& peer) const {
        return peer.fin_sent_ && fin_received_ && received_ == peer.sent_;
    }

  private:
    [[nodiscard]] std::uint32_t number(unsigned units) const { return first_ + 1 + units * unit_; }
    [[nodiscard]] std::uint32_t next_number() const {
        return number(sent_) + (fin_sent_ ? 1U : 0U);
    }
    [[nodiscard]] std::uint32_t expected() const {
        return peer_first_ + 1 + received_ * peer_unit_ + (fin_received_ ? 1U : 0U);
    }
    [[nodiscard]] bool is_gone() const {
        return reset_ || (passive_ && fin_acknowledged_ && fin_received_);
    }
    Segment segment(std::uint32_t sequence, std::uint32_t data, std::uint8_t flags);
    Segment acknowledge() { return segment(next_number(), 0, 0); }
    Segment syn();
    Segment stream(unsigned from, Dice& dice);
    std::optional<Segment> open(const Segment& segment, const Endpoint& peer);
    void take_acknowledgment(const Segment& segment);
    void take_data(const Segment& segment);

    std::uint32_t first_;
    std::uint32_t unit_;
    bool syn_sent_ = false;
    bool syn_acknowledged_ = false;
    unsigned written_ = 0;
    unsigned sent_ = 0;
    unsigned acknowledged_ = 0;
    bool closes_ = false;
    bool fin_sent_ = false;
    bool fin_acknowledged_ = false;
    bool passive_ = false;       ///< its FIN came second: nothing remains of it at the end
    std::uint32_t allowed_ = 0;  ///< up to where the peer's window reaches

    bool peer_known_ = false;
    std::uint32_t peer_first_ = 0;
    std::uint32_t peer_unit_ = 1;
    unsigned received_ = 0;
    std::uint32_t early_ = 0;     ///< units that came out of order, as bits
    std::uint32_t promised_ = 0;  ///< the right edge of its window
    bool fin_received_ = false;
    bool fin_early_ = false;
    std::uint32_t fin_number_ = 0;  ///< of the peer
    bool paused_ = false;
    bool reset_ = false;
    bool aborted_ = false;
};

}  // namespace noclash::closing
