// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tests/closing/endpoint.hpp"
#include "tests/closing/middle.hpp"

namespace noclash::closing {

/// Segments on their way, at most so many; what finds no room is lost.
class Link {
  public:
    static constexpr std::size_t room = 12;
    void put(const Segment& segment) {
        if (size_ < room) segments_[size_++] = segment;
    }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    /// One of them; it stays when it is to come twice.
    Segment take(std::size_t nth, bool twice);
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    std::array<Segment, room> segments_;
    std::size_t size_ = 0;
};

/// The result of a schedule.
struct Result {
    std::string fault{};  ///< empty: none
    bool over = false;
    bool reset = false;
};

/// A connection between two endpoints through a gateway: a random schedule first, with loss,
/// duplication, reordering and old segments before and behind the gateway; then, without loss,
/// until both ends have closed.
class Schedule {
  public:
    /// @param traced  prints what passes the gateway
    Schedule(std::uint64_t seed, nat::TcpWindow mode, bool traced);
    Result run();

  private:
    static constexpr unsigned steps = 120, calm_rounds = 400;

    void step();
    void act(unsigned side);
    void send(unsigned side, const Segment& segment);
    void arrive_at_middle(unsigned side);
    void arrive_at_end(unsigned side);
    void check();
    void settle();
    void print(unsigned side, const Segment& segment, bool passed) const;

    Dice dice_;
    bool traced_;
    bool pickup_;
    std::uint32_t loss_;
    std::uint32_t copies_;
    std::uint32_t disorder_;
    std::uint32_t aborts_;
    std::uint32_t opens_both_;
    bool calm_ = false;
    std::array<Endpoint, 2> ends_;
    Middle middle_;
    std::array<Link, 2> before_;  ///< by sender
    std::array<Link, 2> behind_;  ///< by sender
    std::array<std::array<Segment, 32>, 2> old_{};
    std::array<unsigned, 2> sent_{};
    Result result_;
};

}  // namespace noclash::closing
