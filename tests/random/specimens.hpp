// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ways to allocate ports that somebody could predict. The statistics have to catch each of them.

#include <algorithm>
#include <bitset>
#include <deque>
#include <numeric>
#include <optional>
#include <random>

#include "nat/policy/policy.hpp"

namespace noclash::test {

/// The common part: a range, and which of its ports are taken. Ports are counted from its first.
class Specimen {
  public:
    explicit Specimen(nat::PortRange range) : range_(range) {}
    void release(std::uint16_t port) { taken_.reset(port - std::size_t{range_.first}); }

  protected:
    [[nodiscard]] std::uint32_t size() const { return range_.size(); }
    [[nodiscard]] bool taken(std::uint32_t number) const { return taken_.test(number); }
    std::uint16_t take(std::uint32_t number) {
        taken_.set(number);
        return static_cast<std::uint16_t>(range_.first + number);
    }
    [[nodiscard]] std::uint32_t number_of(std::uint16_t port) const {
        return static_cast<std::uint32_t>(port - range_.first);
    }
    /// The first free one from `number` on, around the end.
    [[nodiscard]] std::uint32_t free_from(std::uint32_t number) const {
        while (taken(number))
            number = (number + 1) % size();
        return number;
    }
    std::uint32_t any() {
        return std::uniform_int_distribution<std::uint32_t>(0, size() - 1)(random_);
    }

    std::mt19937 random_{7};

  private:
    nat::PortRange range_;
    std::bitset<65536> taken_;
};

/// No specimen but the control: each free port is equally likely, though by no secret generator.
class UniformPorts : public Specimen {
  public:
    using Specimen::Specimen;
    std::optional<std::uint16_t> allocate() {
        for (;;)
            if (const std::uint32_t number = any(); !taken(number)) return take(number);
    }
};

/// A congruential generator that visits every port of 1024..65535 once in a period; taken ones are
/// skipped. Its output is as even as can be.
class GeneratorPorts : public Specimen {
  public:
    using Specimen::Specimen;
    std::optional<std::uint16_t> allocate() {
        do
            state_ = (state_ * 1261 + 12347) % size();  // 1260 = 84 * 15: Hull and Dobell 1962
        while (taken(state_));
        return take(state_);
    }

  private:
    std::uint32_t state_ = 4711;
};

/// From where the last one was found on, starting anywhere: netfilter's old default.
class RoverPorts : public Specimen {
  public:
    explicit RoverPorts(nat::PortRange range) : Specimen(range), rover_(any()) {}
    std::optional<std::uint16_t> allocate() {
        const std::uint32_t number = free_from(rover_);
        rover_ = (number + 1) % size();
        return take(number);
    }

  private:
    std::uint32_t rover_;
};

/// From a random port on, each time: a port after many taken ones is favoured.
class RandomStartPorts : public Specimen {
  public:
    using Specimen::Specimen;
    std::optional<std::uint16_t> allocate() { return take(free_from(any())); }
};

/// A list of free ports, in random order at first.
class ListedPorts : public Specimen {
  public:
    explicit ListedPorts(nat::PortRange range) : Specimen(range), list_(range.size()) {
        std::iota(list_.begin(), list_.end(), 0U);
        std::shuffle(list_.begin(), list_.end(), random_);
    }
    void release(std::uint16_t port) {
        Specimen::release(port);
        list_.push_back(number_of(port));
    }

  protected:
    std::deque<std::uint32_t> list_;
};

/// The port that was released first is reused first.
class FifoPorts : public ListedPorts {
  public:
    using ListedPorts::ListedPorts;
    std::optional<std::uint16_t> allocate() {
        const std::uint32_t number = list_.front();
        list_.pop_front();
        return take(number);
    }
};

/// The port that was released last is reused first.
class LifoPorts : public ListedPorts {
  public:
    using ListedPorts::ListedPorts;
    std::optional<std::uint16_t> allocate() {
        const std::uint32_t number = list_.back();
        list_.pop_back();
        return take(number);
    }
};

/// Random, but for a port that was just released, which is drawn half as often.
class ReluctantPorts : public UniformPorts {
  public:
    using UniformPorts::UniformPorts;
    std::optional<std::uint16_t> allocate() {
        const auto port = UniformPorts::allocate();
        if (port != latest_ || random_() % 2 == 0) return port;
        UniformPorts::release(*port);
        return UniformPorts::allocate();
    }
    void release(std::uint16_t port) {
        UniformPorts::release(port);
        latest_ = port;
    }

  private:
    std::optional<std::uint16_t> latest_;
};

}  // namespace noclash::test
