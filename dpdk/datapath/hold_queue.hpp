// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace noclash::dpdk {

/// Packets of one worker that wait until a neighbour is known, in one line for each neighbour (its
/// `key`, any number but 0). Bounded in packets and in lines. One neighbour may hold as many
/// packets as four times of what is free then leaves it: alone four fifths of the queue, and
/// whatever waits, others find room (dynamic threshold; Choudhury and Hahne, 1998). When the queue
/// is full all the same, the packet goes that waits in the oldest line, if that is older than a
/// second: its neighbour was asked twice in vain.
///
/// One thread's own; allocates when it is made and never again.
template <class Packet>
class HoldQueue {
  public:
    static constexpr std::size_t most_lines = 1024;
    static constexpr std::uint64_t patience_ms = 1000;

    explicit HoldQueue(std::size_t packets)
        : nodes_(packets), lines_(std::min(packets, most_lines)), buckets_(most_lines, none) {
        for (std::size_t i = nodes_.size(); i > 0; --i)
            nodes_[i - 1].next = std::exchange(free_node_, static_cast<std::uint32_t>(i - 1));
        for (std::size_t i = lines_.size(); i > 0; --i)
            lines_[i - 1].chain = std::exchange(free_line_, static_cast<std::uint32_t>(i - 1));
    }

    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::size_t capacity() const { return nodes_.size(); }

    /// False when there is no room; the packet stays the caller's. `evict` gets the packets that
    /// made room, if any had to.
    template <class Evict>
    [[nodiscard]] bool enter(std::uint64_t key, const Packet& packet, std::uint64_t now_ms,
                             Evict&& evict) {
        std::uint32_t line = find(key);
        if (line == none && free_line_ == none && !clear_oldest(now_ms, evict)) return false;
        const std::size_t waiting = line == none ? 0 : lines_[line].count;
        if (size_ < nodes_.size() && waiting >= 4 * (nodes_.size() - size_)) return false;
        if (size_ == nodes_.size() && !shorten_oldest(key, now_ms, evict)) return false;
        if (line == none) line = open(key, now_ms);
        const std::uint32_t node = std::exchange(free_node_, nodes_[free_node_].next);
        nodes_[node] = {packet, none};
        Line& of = lines_[line];
        (of.count++ == 0 ? of.first : nodes_[of.last].next) = node;
        of.last = node;
        ++size_;
        return true;
    }

    /// Goes on where the last visit ended, over `lines` lines at most: `decide(packet)` of the
    /// first packet tells whether its line goes; then all of it is handed to `take(packet)`,
    /// `packets` of all lines at most. Neither may enter packets.
    /// @return false when `packets` was too few: more could go
    template <class Decide, class Take>
    bool visit(std::size_t lines, std::size_t packets, Decide&& decide, Take&& take) {
        for (lines = std::min(lines, line_count_); lines > 0; --lines) {
            const std::uint32_t line = cursor_ == none ? oldest_ : cursor_;
            if (!decide(nodes_[lines_[line].first].packet)) {
                cursor_ = lines_[line].younger;
                continue;
            }
            for (std::size_t left = lines_[line].count; left > 0; --left) {
                if (packets-- == 0) {
                    cursor_ = line;
                    return false;
                }
                take(pop(line));  // which ends the line with its last packet
            }
        }
        return true;
    }

    /// Hands out all packets.
    template <class Take>
    void clear(Take&& take) {
        while (oldest_ != none)
            take(pop(oldest_));
    }

  private:
    static constexpr std::uint32_t none = ~0U;

    struct Node {
        Packet packet{};
        std::uint32_t next = none;
    };
    struct Line {
        std::uint64_t key = 0;
        std::uint64_t since_ms = 0;
        std::uint32_t first = none, last = none, count = 0;
        std::uint32_t chain = none;  ///< the next of its bucket, or of the free ones
        std::uint32_t older = none, younger = none;
    };

    [[nodiscard]] std::uint32_t& bucket(std::uint64_t key) {
        static_assert(most_lines == 1024);
        return buckets_[key * 0x9e3779b97f4a7c15ULL >> 54U];
    }
    [[nodiscard]] std::uint32_t find(std::uint64_t key) {
        std::uint32_t line = bucket(key);
        while (line != none && lines_[line].key != key)
            line = lines_[line].chain;
        return line;
    }
    [[nodiscard]] std::uint32_t open(std::uint64_t key, std::uint64_t now_ms) {
        const std::uint32_t line = std::exchange(free_line_, lines_[free_line_].chain);
        std::uint32_t& head = bucket(key);
        lines_[line] = {key, now_ms, none, none, 0, std::exchange(head, line), youngest_, none};
        (youngest_ == none ? oldest_ : lines_[youngest_].younger) = line;
        youngest_ = line;
        ++line_count_;
        return line;
    }
    /// The first packet of a line; with its last one, the line ends.
    Packet pop(std::uint32_t line) {
        Line& of = lines_[line];
        const std::uint32_t node = of.first;
        of.first = nodes_[node].next;
        nodes_[node].next = std::exchange(free_node_, node);
        --size_;
        if (--of.count == 0) end(line);
        return nodes_[node].packet;
    }
    void end(std::uint32_t line) {
        Line& ended = lines_[line];
        std::uint32_t* at = &bucket(ended.key);
        while (*at != line)
            at = &lines_[*at].chain;
        *at = ended.chain;
        (ended.older == none ? oldest_ : lines_[ended.older].younger) = ended.younger;
        (ended.younger == none ? youngest_ : lines_[ended.younger].older) = ended.older;
        if (cursor_ == line) cursor_ = ended.younger;
        ended.chain = std::exchange(free_line_, line);
        --line_count_;
    }
    /// False unless the oldest line has waited for too long.
    [[nodiscard]] bool oldest_is_late(std::uint64_t now_ms) const {
        return oldest_ != none && lines_[oldest_].since_ms + patience_ms <= now_ms;
    }
    template <class Evict>
    [[nodiscard]] bool shorten_oldest(std::uint64_t key, std::uint64_t now_ms, Evict&& evict) {
        if (!oldest_is_late(now_ms) || lines_[oldest_].key == key) return false;
        evict(pop(oldest_));
        return true;
    }
    template <class Evict>
    [[nodiscard]] bool clear_oldest(std::uint64_t now_ms, Evict&& evict) {
        if (!oldest_is_late(now_ms)) return false;
        for (std::uint32_t left = lines_[oldest_].count, line = oldest_; left > 0; --left)
            evict(pop(line));
        return true;
    }

    std::vector<Node> nodes_;
    std::vector<Line> lines_;
    std::vector<std::uint32_t> buckets_;
    std::uint32_t free_node_ = none, free_line_ = none;
    std::uint32_t oldest_ = none, youngest_ = none;
    std::uint32_t cursor_ = none;  ///< the line to visit next; none: the oldest
    std::size_t size_ = 0;
    std::size_t line_count_ = 0;
};

}  // namespace noclash::dpdk
