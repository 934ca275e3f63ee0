// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "bench/pipeline/frames.hpp"
#include "bench/pipeline/lane.hpp"
#include "dpdk/datapath/rx_queue.hpp"
#include "engine/base/huge_array.hpp"
#include "engine/production.hpp"
#include "engine/tuple_hash.hpp"

namespace noclash::bench {

// The least that a gateway can do with a packet on this machine, to hold the real one beside it:
// headers are read and the tuple hashed, a line of an index and a flow's record are fetched, the
// tuple is compared, the packet rewritten and sent. Nothing is validated; there is no TCP state, no
// rule, no route, no neighbour, no random number, no counter but the flow's, and nothing is
// dropped. It is told by the hash which slot of a line it is, so there are no tags to choose by; of
// two entries that want one slot, the later is not looked for (`shows`).

/// Index and records, as many and as large as the engine's. One worker.
class LeastTable {
  public:
    struct alignas(64) Line {
        std::atomic<std::uint64_t> header{0};
        std::array<std::atomic<std::uint32_t>, 13> entries{};
    };
    struct alignas(64) Record {
        std::array<Tuple<V4>, 2> tuples{};  ///< by Direction
        Moment expires = 0;
        std::uint16_t ip_change =
            0;  ///< what to add to the sum under the IP checksum, TTL included
        std::uint16_t tcp_change = 0;
        alignas(64) std::uint64_t packets = 0;
        std::uint64_t bytes = 0;
    };
    static_assert(sizeof(Record) == sizeof(Flow<V4, Production>));
    static_assert(sizeof(Line) == sizeof(IndexBucket<Production>));

    explicit LeastTable(std::uint32_t flows)
        : lines_(std::size_t{flows} * 2 / 5 + 1), records_(flows + 1) {}

    [[nodiscard]] std::uint64_t hash(const Tuple<V4>& tuple) const { return hash_(tuple); }
    [[nodiscard]] Line& line(std::uint64_t hash) {
        __extension__ using Wide = unsigned __int128;
        return lines_[static_cast<std::size_t>((static_cast<Wide>(hash) * lines_.size()) >> 64U)];
    }
    [[nodiscard]] std::atomic<std::uint32_t>& entry(std::uint64_t hash) {
        Line& of = line(hash);
        return of.entries[((hash & 0xffffU) * of.entries.size()) >> 16U];
    }
    [[nodiscard]] Record& operator[](std::uint32_t record) { return records_[record]; }
    [[nodiscard]] std::uint32_t next_record() { return ++taken_; }

    /// As an insertion that nobody disturbs: a slot is taken by one locked swap, shown by another.
    void insert(std::uint64_t hash, std::uint32_t record) {
        Line& of = line(hash);
        std::uint64_t header = of.header.load(std::memory_order_acquire);
        std::uint32_t empty = 0;
        entry(hash).compare_exchange_strong(empty, record, std::memory_order_relaxed);
        of.header.compare_exchange_strong(header, header + 1, std::memory_order_acq_rel);
    }
    /// Whether a lookup of `tuple` will find `record`.
    [[nodiscard]] bool shows(const Tuple<V4>& tuple, std::uint32_t record) {
        return entry(hash(tuple)).load(std::memory_order_relaxed) == record;
    }
    void clear() {
        for (std::size_t i = 0; i < lines_.size(); ++i)
            new (&lines_[i]) Line();
        taken_ = 0;
    }

  private:
    HugeArray<Line> lines_;
    HugeArray<Record> records_;
    TupleHash hash_;
    std::uint32_t taken_ = 0;
};

/// A burst of TCP segments from inside, as they lie in their buffers; the next one's are brought in
/// while it is rewritten, as workers do.
class LeastBurst {
    using RxQueue = dpdk::RxQueue<dpdk::Pipeline::burst>;

  public:
    static constexpr std::size_t most = dpdk::Pipeline::burst;

    explicit LeastBurst(const Bed& bed)
        : in_{bed.port_id(Side::inside), bed.port_id(Side::outside)},
          ethernet_{Bed::neighbor_mac(Side::outside), bed.mac(Side::outside), {}} {
        ethernet_.type = Be16::from_host(nat::ether_type::ipv4);
    }

    /// Asks both ports, as workers do; nothing may come from outside.
    std::size_t receive() {
        frames_ = arrivals_.take(in_[0], 0);
        std::array<rte_mbuf*, most> none;
        expect(rte_eth_rx_burst(in_[1], 0, none.data(), most) == 0, "a packet came from outside");
        return frames_.size();
    }
    void send() {
        rte_eth_tx_burst(in_[1], 0, frames_.data(), static_cast<std::uint16_t>(frames_.size()));
    }

    /// In two words, as it is compared: what is stored in parts and loaded as a whole has to wait.
    [[nodiscard]] Tuple<V4> tuple(std::size_t i) const {
        const Headers& from = headers(i);
        std::array<std::uint64_t, 2> words{};
        std::uint32_t ports = 0;
        std::memcpy(words.data(), &from.ip.source, sizeof words[0]);
        std::memcpy(&ports, &from.tcp.source_port, sizeof ports);
        words[1] = ports | std::uint64_t{from.ip.protocol} << 48U;
        return std::bit_cast<Tuple<V4>>(words);
    }

    [[nodiscard]] V4Address destination(std::size_t i) const {
        return headers(i).ip.destination.get();
    }

    /// The source becomes what the record says; a hop less; new link-layer addresses.
    void rewrite(std::size_t i, const LeastTable::Record& record) {
        Headers& to = headers(i);
        const Tuple<V4>& reply = record.tuples[1];
        to.ip.source = reply.destination;
        to.tcp.source_port = reply.destination_port;
        to.tcp.checksum = changed(to.tcp.checksum.get(), record.tcp_change);
        forward(i, record.ip_change);
    }
    /// A hop less; new link-layer addresses.
    void forward(std::size_t i) { forward(i, a_hop_less); }

    /// The change of the IP header's sum by one hop less.
    static constexpr std::uint16_t a_hop_less = static_cast<std::uint16_t>(~1);

  private:
    struct Headers {
        nat::EthernetHeader ethernet;
        nat::IpHeader<V4> ip;
        nat::TcpHeader tcp;
    };
    static_assert(sizeof(Headers) == 54 && alignof(Headers) == 1);

    /// Where buffers have their data, without asking them.
    [[nodiscard]] Headers& headers(std::size_t i) const {
        return *reinterpret_cast<Headers*>(reinterpret_cast<char*>(frames_[i]) + sizeof(rte_mbuf) +
                                           RTE_PKTMBUF_HEADROOM);
    }
    void forward(std::size_t i, std::uint16_t ip_change) {
        const std::span<rte_mbuf* const> ahead = arrivals_.ahead();
        if (i < ahead.size()) RxQueue::prefetch(ahead[i]);
        Headers& to = headers(i);
        --to.ip.ttl;
        to.ip.checksum = changed(to.ip.checksum.get(), ip_change);
        to.ethernet = ethernet_;
        frames_[i]->pkt_len = sizeof(Headers);
        frames_[i]->data_len = sizeof(Headers);
    }
    /// RFC 1624, equation 3.
    [[nodiscard]] static Be16 changed(Be16 checksum, std::uint16_t change) {
        const std::uint32_t sum =
            static_cast<std::uint16_t>(~checksum.wire()) + std::uint32_t{change};
        return Be16::from_wire(static_cast<std::uint16_t>(~(sum + (sum >> 16U))));
    }

    std::array<std::uint16_t, 2> in_;  ///< ports of DPDK
    nat::EthernetHeader ethernet_;
    RxQueue arrivals_;
    std::span<rte_mbuf*> frames_;
};

/// Which lines of its record a packet of an established flow changes.
enum class Lines : std::uint8_t {
    one,  ///< when it expires
    two,  ///< that, and counters
};

/// Established flows.
template <Lines lines>
class LeastEstablished final : public Rounds {
  public:
    LeastEstablished(const Bed& bed, LeastTable& table) : burst_(bed), table_(table) {}

    [[gnu::noinline]] std::size_t round(std::uint64_t now_ms) override {
        const std::size_t count = burst_.receive();
        for (std::size_t i = 0; i < count; ++i) {
            tuples_[i] = burst_.tuple(i);
            entries_[i] = &table_.entry(table_.hash(tuples_[i]));
        }
        // In a loop of its own: 1.4 times as fast where lines miss the TLB, too.
        for (std::size_t i = 0; i < count; ++i)
            __builtin_prefetch(entries_[i], 0, 2);
        for (std::size_t i = 0; i < count; ++i) {
            records_[i] = &table_[entries_[i]->load(std::memory_order_acquire)];
            __builtin_prefetch(records_[i], 1, 2);
            if constexpr (lines == Lines::two) __builtin_prefetch(&records_[i]->packets, 1, 2);
        }
        for (std::size_t i = 0; i < count; ++i) {
            LeastTable::Record& record = *records_[i];
            expect(record.tuples[0] == tuples_[i], "the least gateway does not know a flow");
            record.expires = to_moment(now_ms);
            if constexpr (lines == Lines::two) {
                ++record.packets;
                record.bytes += frame_bytes;
            }
            burst_.rewrite(i, record);
        }
        burst_.send();
        return count;
    }

  private:
    LeastBurst burst_;
    LeastTable& table_;
    // The burst in hand; here, and not on the stack, these arrays need not be initialized.
    std::array<Tuple<V4>, LeastBurst::most> tuples_{};
    std::array<const std::atomic<std::uint32_t>*, LeastBurst::most> entries_{};
    std::array<LeastTable::Record*, LeastBurst::most> records_{};
};

/// No flows: a route, and nothing else.
class LeastForwarding final : public Rounds {
  public:
    explicit LeastForwarding(Bed& bed)
        : burst_(bed), routes_(bed.gateway().policy.of_round().router) {}

    [[gnu::noinline]] std::size_t round(std::uint64_t) override {
        const std::size_t count = burst_.receive();
        bool routed = true;
        for (std::size_t i = 0; i < count; ++i) {
            nat::Hop<V4> hop;
            routed &=
                routes_.route(burst_.destination(i), hop) && hop.port == port_of(Side::outside);
            burst_.forward(i);
        }
        expect(routed, "the least gateway knows no route");
        burst_.send();
        return count;
    }

  private:
    LeastBurst burst_;
    const dpdk::RouteTable& routes_;
};

/// First packets: both tuples claimed, a record written. Addresses and ports are given out in turn.
class LeastSetUp final : public Rounds {
  public:
    LeastSetUp(Bed& bed, LeastTable& table)
        : burst_(bed), table_(table), pool_(bed.gateway().config.policy.pools.front().addresses) {}

    [[gnu::noinline]] std::size_t round(std::uint64_t now_ms) override {
        const std::size_t count = burst_.receive();
        for (std::size_t i = 0; i < count; ++i) {
            tuples_[i] = {burst_.tuple(i), {}};
            tuples_[i][1] = next_reply(tuples_[i][0]);
            for (std::size_t direction = 0; direction < 2; ++direction)
                hashes_[i][direction] = table_.hash(tuples_[i][direction]);
            numbers_[i] = table_.next_record();
        }
        for (std::size_t i = 0; i < count; ++i) {
            for (const std::uint64_t hash : hashes_[i])
                __builtin_prefetch(&table_.line(hash), 1, 2);
            __builtin_prefetch(&table_[numbers_[i]], 1, 2);
            __builtin_prefetch(&table_[numbers_[i]].packets, 1, 2);
        }
        for (std::size_t i = 0; i < count; ++i) {
            LeastTable::Record& record = table_[numbers_[i]];
            for (std::size_t direction = 0; direction < 2; ++direction)
                table_.insert(hashes_[i][direction], numbers_[i]);
            write(record, tuples_[i], now_ms);
            burst_.rewrite(i, record);
        }
        burst_.send();
        return count;
    }

  private:
    [[nodiscard]] Tuple<V4> next_reply(const Tuple<V4>& original) {
        // An odd number of ports: who gets one again talks to another of the 1,024 servers.
        constexpr std::uint32_t first = 1025, last = 65535;
        Tuple<V4> reply = original.inverse();
        reply.destination = pool_[address_];
        reply.destination_port = Be16::from_host(static_cast<std::uint16_t>(first + port_));
        if (++port_ > last - first) {
            port_ = 0;
            address_ = (address_ + 1) % pool_.size();
        }
        return reply;
    }
    static void write(LeastTable::Record& record, const std::array<Tuple<V4>, 2>& tuples,
                      std::uint64_t now_ms) {
        const auto from = std::bit_cast<std::array<std::uint16_t, 2>>(tuples[0].source);
        const auto to = std::bit_cast<std::array<std::uint16_t, 2>>(tuples[1].destination);
        const auto without = [](std::uint16_t word) { return static_cast<std::uint16_t>(~word); };
        const std::uint32_t addresses =
            std::uint32_t{to[0]} + to[1] + without(from[0]) + without(from[1]);
        const std::uint32_t ports = std::uint32_t{tuples[1].destination_port.wire()} +
                                    without(tuples[0].source_port.wire());
        record.tuples = tuples;
        record.expires = to_moment(now_ms);
        record.ip_change = nat::checksum::fold(addresses + LeastBurst::a_hop_less);
        record.tcp_change = nat::checksum::fold(addresses + ports);
        record.packets = 1;
        record.bytes = frame_bytes;
    }

    LeastBurst burst_;
    LeastTable& table_;
    std::vector<V4Address> pool_;
    std::array<std::array<Tuple<V4>, 2>, LeastBurst::most> tuples_{};
    std::array<std::array<std::uint64_t, 2>, LeastBurst::most> hashes_{};
    std::array<std::uint32_t, LeastBurst::most> numbers_{};
    std::size_t address_ = 0;
    std::uint32_t port_ = 0;
};

}  // namespace noclash::bench
