// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace noclash::dpdk {

/// Packets of one worker that wait for something, in the order they came: bounded in number here
/// and in time by who visits them. One thread's own; allocates when it is made and never again.
template <class Packet>
class PacketQueue {
  public:
    explicit PacketQueue(std::size_t capacity) : capacity_(capacity) { waiting_.reserve(capacity); }

    [[nodiscard]] bool empty() const { return waiting_.empty(); }
    [[nodiscard]] std::size_t size() const { return waiting_.size(); }
    [[nodiscard]] std::size_t capacity() const { return capacity_; }

    /// False when the room is full; the packet stays the caller's.
    [[nodiscard]] bool enter(const Packet& packet) {
        if (waiting_.size() == capacity_) return false;
        waiting_.push_back(packet);
        return true;
    }

    template <class Predicate>
    [[nodiscard]] std::size_t count_if(Predicate&& predicate) const {
        std::size_t count = 0;
        for (const Packet& packet : waiting_)
            count += predicate(packet) ? 1U : 0U;
        return count;
    }

    /// Asks `leaves(packet)` of each in turn; those for which it is true are gone afterwards. It
    /// must not enter packets into this room.
    template <class Leaves>
    void visit(Leaves&& leaves) {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < waiting_.size(); ++i) {
            const Packet packet = waiting_[i];
            if (!leaves(packet)) waiting_[kept++] = packet;
        }
        waiting_.resize(kept);
    }

    /// Takes the first `count` out, or as many as there are.
    template <class Take>
    void take(std::size_t count, Take&& take) {
        count = count < waiting_.size() ? count : waiting_.size();
        for (std::size_t i = 0; i < count; ++i)
            take(waiting_[i]);
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
    }

  private:
    std::size_t capacity_;
    std::vector<Packet> waiting_;
};

}  // namespace noclash::dpdk
