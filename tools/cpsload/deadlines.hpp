// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tools/cpsload/settings.hpp"

namespace noclash::cpsload {

/// When packets that are not answered are sent again. All that wait for the same attempt wait
/// equally long, so a list in order of sending is a list in order of time: everything is O(1).
/// One thread.
class Deadlines {
  public:
    Deadlines(std::uint32_t slots, Time rto, std::uint32_t retries)
        : slots_(slots), attempts_(retries + 1), rto_(rto), nodes_(slots + retries + 1) {
        // A node that points to itself is in no list; those behind the slots are the lists' heads.
        for (std::uint32_t node = 0; node < nodes_.size(); ++node)
            nodes_[node] = {node, node, 0};
    }

    /// A packet of `slot` was sent, after `attempt` (0 to retries) retransmissions.
    void start(std::uint32_t slot, std::uint32_t attempt, Time now) {
        stop(slot);
        const std::uint32_t head = slots_ + attempt;
        const std::uint32_t last = nodes_[head].previous;
        nodes_[slot] = {last, head, now};
        nodes_[last].next = slot;
        nodes_[head].previous = slot;
        ++waiting_;
    }

    void stop(std::uint32_t slot) {
        Node& node = nodes_[slot];
        if (node.next == slot) return;
        --waiting_;
        nodes_[node.previous].next = node.next;
        nodes_[node.next].previous = node.previous;
        node.previous = node.next = slot;
    }

    /// Slots that wait for an answer.
    [[nodiscard]] std::uint32_t waiting() const { return waiting_; }

    /// A slot whose time has come; it stays until it is stopped or started again.
    [[nodiscard]] std::optional<std::uint32_t> due(Time now) const {
        for (std::uint32_t attempt = 0; attempt < attempts_; ++attempt) {
            const std::uint32_t first = nodes_[slots_ + attempt].next;
            if (first < slots_ && nodes_[first].sent + (rto_ << attempt) <= now) return first;
        }
        return std::nullopt;
    }

  private:
    struct Node {
        std::uint32_t previous;
        std::uint32_t next;
        Time sent;
    };

    std::uint32_t slots_;
    std::uint32_t attempts_;
    Time rto_;
    std::vector<Node> nodes_;
    std::uint32_t waiting_ = 0;
};

}  // namespace noclash::cpsload
