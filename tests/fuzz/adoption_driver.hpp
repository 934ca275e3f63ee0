// SPDX-License-Identifier: Apache-2.0
#pragma once

// Any bytes as the records that a process left: those of flows, mappings, permissions and
// incarnations, of few addresses and ports, so that they meet; right ones, nearly right ones and
// noise. A gateway adopts them; then come packets and time, and in the end everything ends. The
// fuzzer drives it, and a unit test with random bytes.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "nat/conntrack/end_segments.hpp"
#include "nat/conntrack/own_segment.hpp"
#include "tests/fuzz/fuzz_input.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test {

class AdoptionDriver {
  public:
    using Record = FlowTable<V4>::Record;
    using Input = dpdk::test::Input;

    static constexpr std::uint32_t flows = 64;

    AdoptionDriver() : records_(FlowTable<V4>::records_for(flows, 1)) {}

    void drive(std::span<const std::uint8_t> bytes) {
        Input input(bytes);
        const std::uint8_t variant = input.byte();
        own_.clear();
        const std::uint8_t count = input.byte();
        for (std::uint32_t i = 0; i < count && !input.empty(); ++i)
            leave(records_[1 + (i * 7U + input.byte()) % (records_.size() - 1)], input);
        adopt(variant, input.byte());
        while (!input.empty())
            step(input);
        end_all();
    }
    [[nodiscard]] const AdoptionCounts& counts() const { return counts_; }

  private:
    static void require(bool condition) {
        if (!condition) std::abort();
    }
    static constexpr std::uint64_t left_ms = 1'000'000;

    static V4Address inside(std::uint8_t choice) {
        return V4Address::from_host(host("10.1.0.7") + choice % 3U);
    }
    static V4Address remote(std::uint8_t choice) {
        return V4Address::from_host(host("192.0.2.80") + choice % 3U);
    }
    static Be16 port(std::uint8_t choice) {
        return Be16::from_host(static_cast<std::uint16_t>(5000 + choice % 5U));
    }
    static std::uint8_t protocol(std::uint8_t choice) {
        static constexpr std::array<std::uint8_t, 6> all{
            ip_protocol::tcp, ip_protocol::udp, ip_protocol::icmp, ip_protocol::sctp, 136, 47};
        return all.at(choice % all.size());
    }

    /// A record as it may have been left.
    static void leave(Record& record, Input& input) {
        const std::uint8_t kind = input.byte();
        if (kind % 8 == 7) {
            const auto noise = input.bytes(sizeof(Record));
            if (!noise.empty())  // memcpy takes no null pointer, even for no bytes
                std::memcpy(static_cast<void*>(&record), noise.data(), noise.size());
            return;
        }
        const std::uint8_t ends = input.byte(), ports = input.byte(), spoilt = input.byte();
        const V4Address outside = ip("10.2.0.1");
        Tuple<V4> original{inside(ends % 4U),
                           remote(ends / 4U),
                           port(ports % 8U),
                           Be16::from_host(80),
                           0,
                           protocol(ends / 16U),
                           0};
        Tuple<V4> reply{
            original.destination, outside, original.destination_port, port(ports / 8U), 0,
            original.protocol,    0};
        switch (kind % 8) {
            case 0:
                original = mapping_of_source(original, outside, 1);
                reply = mapping_of_destination(reply);
                break;
            case 1:
                reply = permission_of(reply);
                original = reply.inverse();
                break;
            case 2:
                original = incarnation_of(original);
                reply = incarnation_of(reply);
                break;
            case 3:  // from outside
                std::swap(original, reply);
                break;
            default:
                break;
        }
        if (spoilt == 1) reply.zone = 1;
        if (spoilt == 2) original.reserved = input.byte();
        if (spoilt == 3) reply.protocol = input.byte();
        record.tuples = {original, reply};
        Tuple<V4> to;
        Tuple<V4>::invert(reply, to);
        keep(record, translation(original, to));
        if (spoilt == 4) record.sum_changes[0] ^= 1;
        record.status = static_cast<FlowStatus>(spoilt == 5 ? input.byte() : ends / 8U % 6U);
        if (kind >= 64) record.status = kind >= 96 ? FlowStatus::live : FlowStatus::ending;
        record.expires = to_moment(left_ms) + input.word() * 4U - 2000U;
        record.protocol_state = input.byte();
        record.marks = input.byte();
        record.rule = input.byte() % 64U;  // as many may have a number here
        for (auto& word : record.memory)
            word = input.byte();
    }

    void adopt(std::uint8_t variant, std::uint8_t away) {
        std::size_t used = 0;
        for (std::size_t i = 1; i < records_.size(); ++i)
            if (records_[i].status != FlowStatus::free) ++used;
        Rule<V4> first = masquerade({5000, 5004});
        first.behavior = {Mapping::endpoint_independent, static_cast<Filtering>(variant % 3U)};
        LimitsConfig<V4> limits;
        if (variant >= 64) {
            limits.most[static_cast<std::size_t>(Quota::flows)] = 8;
            limits.most[static_cast<std::size_t>(Quota::half_open)] = 4;
            limits.half_open_per_service = 4;
            limits.sources = 8;
        }
        PolicyConfig<V4> policy{{}, {first, node_port()}};
        if ((variant & 32U) != 0) policy.services = {proxied_service()};
        gateway_ = std::make_unique<TestGateway>(policy, 1, flows, limits, TcpTimestamps::preserve,
                                                 &records_[0]);
        gateway_->timeouts.port_quarantine_s = variant / 4U % 4U;
        gateway_->now_ms = left_ms + away * 10U;
        gateway_->keep_policy();
        counts_ = gateway_->adopt(left_ms);
        require(used == std::uint64_t{counts_.adopted} + counts_.rolled_back + counts_.over +
                            counts_.conflicting + counts_.orphaned + counts_.implausible);
        require(live() == counts_.adopted);
        check_tuples();
        check_references();
        check_free_records();
        check_end_segments();
    }

    [[nodiscard]] bool is_live(FlowId id) const { return records_[id].status == FlowStatus::live; }
    [[nodiscard]] std::size_t live() const {
        std::size_t found = 0;
        for (FlowId id = 1; id < records_.size(); ++id)
            found += is_live(id) ? 1U : 0U;
        return found;
    }
    Found find(const Tuple<V4>& key) const {
        const auto& index = gateway_->table.index();
        return index.find(key, index.hash(key));
    }

    /// Each tuple of a live record leads to it, and to nobody else; every other record is free.
    void check_tuples() const {
        for (FlowId id = 1; id < records_.size(); ++id) {
            if (!is_live(id)) {
                require(records_[id].status == FlowStatus::free);
                continue;
            }
            for (const Direction direction : {Direction::original, Direction::reply})
                require(find(records_[id].tuple(direction)) == Found{id, direction});
        }
        require(gateway_->table.index().occupancy().entries == 2 * live());
    }
    /// Whoever refers to a mapping or permission is counted there.
    void check_references() const {
        std::vector<std::uint32_t> expected(records_.size());
        const auto refer = [&](const Tuple<V4>& reply) {
            const Found found = find(reply);
            if (found) ++expected[found.flow];
            return found;
        };
        for (FlowId id = 1; id < records_.size(); ++id) {
            if (!is_live(id)) continue;
            const Record& record = records_[id];
            const auto& [original, reply] = record.tuples;
            const std::uint8_t marks = record.marks;
            if (is_mapping(record) && has_quarantine(record)) ++expected[id];
            if (original.reserved == wildcard::remote_port)
                require(static_cast<bool>(refer(mapping_of_destination(reply))));
            if (is_wildcard(record)) continue;
            const auto hold = [&](const Tuple<V4>& from_remote) {
                const Found mapping = find(mapping_of_destination(from_remote));
                require(static_cast<bool>(mapping));
                const bool permits =
                    filtering_of(records_[mapping.flow]) == Filtering::address_dependent;
                require(static_cast<bool>(refer(permits ? permission_of(from_remote)
                                                        : mapping_of_destination(from_remote))));
            };
            if ((marks & flow_mark::source_mapped) != 0) hold(to_source(original, reply, marks));
            if ((marks & flow_mark::destination_mapped) != 0) hold(to_destination(original, reply));
        }
        for (FlowId id = 1; id < records_.size(); ++id)
            if (is_live(id) && is_wildcard(records_[id]) && !is_incarnation(records_[id]))
                require(expected[id] != 0 && references(records_[id]) == expected[id]);
    }
    /// All others can be taken, each once.
    void check_free_records() {
        auto& engine = *gateway_->engines[0];
        std::set<FlowId> taken;
        for (FlowId id = engine.take_record(); id != no_flow; id = engine.take_record())
            require(taken.insert(id).second && !is_live(id));
        require(taken.size() + live() == records_.size() - 1);
        for (const FlowId id : taken)
            engine.give_back_record(id);
    }

    /// It answers the SYNs of its clients itself.
    static Service<V4> proxied_service() {
        Service<V4> service;
        service.name = "proxied";
        service.address = remote(0);
        service.ports = {{80, 80}};
        service.protocol = ip_protocol::tcp;
        service.backends = {{remote(1), 80, 1}};
        service.syn_proxy = SynProxyMode::on;
        return service;
    }

    /// A packet, an answer to a segment of the gateway's own, or time.
    void step(Input& input) {
        act(input);
        for (const OwnSegment<V4>& segment : gateway_->pipelines[0]->outbox().take()) {
            own_.assign(segment.bytes().begin(), segment.bytes().end());
            static_cast<void>(read(own_));
        }
    }
    void act(Input& input) {
        const std::uint8_t kind = input.byte(), ends = input.byte(), ports = input.byte();
        if (kind % 4 == 0) return gateway_->pass_time((ends + 1U) * 100U);
        if (kind % 16 == 3 && !own_.empty()) return answer_own();
        Ends way{inside(ends % 4U).value.host(), remote(ends / 4U).value.host(),
                 port(ports % 8U).host(), 80};
        const bool inward = kind % 4 == 1;
        if (inward) way = {way.destination, host("10.2.0.1"), 80, port(ports / 8U).host()};
        Bytes packet = kind >= 128 ? udp(way, {1}) : tcp(way, kind / 4U & 0x17U);
        gateway_->pass(packet, inward ? 1 : 0);
    }

    /// What the receiver of the last segment of the gateway's own says to it: to a SYN-ACK, the ACK
    /// that shows its cookie; to a SYN, a SYN-ACK.
    void answer_own() {
        const Tuple<V4> way = read(own_).tuple;
        const std::size_t l4 = l4_offset(own_);
        const bool is_syn = own_.at(l4 + 13) == tcp_flag::syn;
        constexpr std::uint8_t syn_ack = tcp_flag::syn | tcp_flag::ack;
        Bytes answer = tcp(answer_to(way), is_syn ? syn_ack : tcp_flag::ack);
        put32(answer, l4_offset(answer) + 4, get32(own_, l4 + 8));
        put32(answer, l4_offset(answer) + 8, get32(own_, l4 + 4) + 1);
        fix_l4_checksum(answer);
        const bool from_inside = same_prefix<V4>(way.destination, ip("10.1.0.0"), 16);
        gateway_->pass(answer, from_inside ? 0 : 1);
    }

    /// Whatever the words of a record are, its ends get well-formed segments, or none.
    void check_end_segments() const {
        for (FlowId id = 1; id < records_.size(); ++id) {
            if (!is_live(id) || is_wildcard(records_[id])) continue;
            for (const TcpWindow mode : {TcpWindow::liberal, TcpWindow::off}) {
                for (const EndSegment& segment : end_segments(records_[id], mode)) {
                    const Tuple<V4> way = records_[id].tuple(segment.to).inverse();
                    const OwnSegment<V4> own(way, segment.numbers);
                    Bytes bytes(own.bytes().begin(), own.bytes().end());
                    require(read(bytes).tuple == way);
                }
            }
        }
    }

    /// Flows end, with them what they hold, and every record comes back.
    void end_all() {
        auto& engine = *gateway_->engines[0];
        MappingCounters counters;
        FlowEnd<V4, Production> end(gateway_->table, gateway_->crowded, gateway_->limits,
                                    engine.counters(), counters);
        const auto& policy = gateway_->round().policy;
        for (FlowId id = 1; id < records_.size(); ++id)
            if (is_live(id) && (!is_wildcard(records_[id]) || is_incarnation(records_[id])))
                gateway_->table.release(id, engine.counters(), end.under(policy, gateway_->now_ms));
        for (FlowId id = 1; id < records_.size(); ++id)
            if (is_live(id)) require(has_quarantine(records_[id]) && references(records_[id]) == 1);
        if (const auto* sources = gateway_->limits.sources())
            sources->for_each([](const auto&) { require(false); });
        gateway_->table.hurry_reclamation();
        gateway_->pass_time(1000);
        check_tuples();
        check_free_records();
    }

    HugeArray<Record> records_;
    Bytes own_;  ///< the last segment of the gateway's own
    std::unique_ptr<TestGateway> gateway_;
    AdoptionCounts counts_;
};

}  // namespace noclash::nat::test
