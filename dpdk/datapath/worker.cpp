// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/worker.hpp"

#include <rte_ethdev.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstring>

#include "dpdk/datapath/frame.hpp"
#include "dpdk/datapath/frame_kind.hpp"
#include "engine/base/clock.hpp"
#include "nat/conntrack/tcp_reset.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/icmp.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::uint16_t least_mtu = 68;  // that every link carries (RFC 791, section 3.2)
constexpr std::size_t park_packets = 512;
constexpr std::uint64_t park_ms = 100;  // a set-up takes microseconds, a preempted one milliseconds
constexpr std::uint32_t maintenance_budget = 256;  // flows looked at between two bursts
// A worker that its devices wake sleeps when there is nothing to do: if it looked on for frames,
// it would use up what the scheduler grants it, and have to wait when they come, for those who
// share its core. Where a device wakes nobody, it has to look.
constexpr std::uint32_t loops_before_sleep = 1;
constexpr std::uint32_t loops_before_nap = 64;
constexpr long nap_ns = 50'000;
// After some 20 ms of silence it naps deeper, and costs a tenth.
constexpr std::uint32_t loops_before_deep_nap = loops_before_nap + 256;
constexpr long deep_nap_ns = 500'000;  // also of a sleep: timers have to go on

}  // namespace

Worker::Worker(Gateway& gateway, std::uint16_t id)
    : gateway_(gateway),
      id_(id),
      sleeper_(gateway.ports.size()),
      flows_(gateway.flows, id, now_ms()),
      pipeline_(flows_,
                {gateway.crowded, gateway.limits, gateway.identities.rules().most(),
                 &gateway.timestamps, gateway.steering, &gateway.reset_ends, &gateway.syn_proxy}),
      reassembly_(gateway.config, gateway.buffers, counters_),
      egress_(gateway, id, counters_),
      neighbors_(gateway, egress_, counters_,
                 id == 0 ? NeighborKeeper::Duty::own_and_pinned : NeighborKeeper::Duty::own),
      arrivals_(gateway.ports.size()),
      parked_(park_packets),
      errors_(pipeline_.random()),
      mtu_errors_(pipeline_.random()),
      resets_(pipeline_.random()) {
    receiving_.reserve(gateway.ports.size());
}

Worker::~Worker() {
    parked_.visit([](const Parked& packet) {
        rte_pktmbuf_free(packet.frame);
        return true;
    });
}

void Worker::run(const std::atomic<bool>& stop) {
    // Naps are to last as long as they say: the default slack would double them.
    ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    if (gateway_.config.idle == Idle::nap) urgency_.begin(now_ms());
    begin();
    for (std::uint16_t port = 0; id_ == 0 && port < gateway_.port_count(); ++port)
        announce(port);
    std::uint32_t empty_loops = 0;
    while (!stop.load(std::memory_order_relaxed)) {
        const std::uint64_t now = now_ms();
        empty_loops = round(now) > 0 ? 0 : empty_loops + 1;
        if (gateway_.config.idle == Idle::nap) idle(empty_loops, now);
    }
    end();
}

std::size_t Worker::round(std::uint64_t now_ms) {
    if (cycles_ != nullptr) [[unlikely]]
        cycles_->begin();
    if (gateway_.gate) [[unlikely]]
        hold(gateway_.gate->window(id_));
    if (gateway_.port_states.epoch() != ports_epoch_) [[unlikely]]
        take_port_states();
    const Snapshot& policy = gateway_.policy.of_round();
    if (policy.generation != generation_) [[unlikely]]
        take_policy(policy);
    const Round round{policy, now_ms};
    egress_.begin(now_ms);
    std::size_t received = 0;
    for (const std::uint16_t port : receiving_)
        received += receive(port, round);
    neighbors_.round(now_ms);
    revisit_parked(round);
    received += send_flow_resets(round);
    send_own_segments(round);  // of packets that were parked, and of timers
    reassembly_.expire(now_ms);
    egress_.revisit([&](rte_mbuf* frame) { neighbor_failed(frame, round); });
    egress_.flush();
    end_step(nat::Step::transmit);
    flows_.quiescent();
    pipeline_.maintain(round, maintenance_budget);
    end_step(nat::Step::between);
    return received;
}

/// Something has become of a port. Of one that came up, the link is told of our addresses, and
/// asked for the neighbours that were known, by one worker. At the first time, there was none.
void Worker::take_port_states() {
    PortStates& states = gateway_.port_states;
    const bool first = ports_epoch_ == 0;
    ports_epoch_ = states.epoch();
    receiving_.clear();
    sleeper_.forget();
    for (std::uint16_t port = 0; port < gateway_.port_count(); ++port) {
        const PortState state = states.state(port);
        if (state != PortState::closed) {
            receiving_.push_back(port);
            sleeper_.watch(gateway_.ports[port]->rx_descriptor(id_));
        }
        const bool came_up = egress_.take_link(port, state == PortState::up);
        if (first || !came_up || id_ != 0) continue;
        announce(port);
        for (const V4Address& neighbor : states.ask(port))
            egress_.ask(port, neighbor, nat::broadcast_mac);
    }
    states.seen(id_, ports_epoch_);
}

/// Another policy is in force. Links are told of its new addresses by one worker.
void Worker::take_policy(const Snapshot& policy) {
    const bool first = generation_ == 0;
    generation_ = policy.generation;
    neighbors_.take(policy.pinned);
    reassembly_.take(policy.config.fragments);
    if (first || id_ != 0) return;
    for (const auto& [port, address] : policy.new_addresses)
        announce(port, address);
}

/// Tells the link where our addresses are, as a host does when it comes up (RFC 5227, section 3).
void Worker::announce(std::uint16_t port) {
    for (const V4Address& address : gateway_.policy.of_round().router.own_on(port))
        announce(port, address);
}
void Worker::announce(std::uint16_t port, const V4Address& address) {
    egress_.send_arp(port, nat::arp_announcement(gateway_.macs[port], address), nat::broadcast_mac);
}

void Worker::idle(std::uint32_t empty_loops, std::uint64_t now_ms) {
    const bool woken = sleeper_.is_woken_by_all();
    if (!parked_.empty() || empty_loops < (woken ? loops_before_sleep : loops_before_nap))
        return urgency_.worked(now_ms);
    const bool long_silence = woken || empty_loops >= loops_before_deep_nap;
    counters_.naps.add();
    flows_.offline();
    if (sleeper_.sleep(long_silence ? deep_nap_ns : nap_ns)) counters_.woken.add();
    urgency_.rested(noclash::now_ms());
    flows_.online();
}

std::size_t Worker::receive(std::uint16_t port, Round round) {
    if (held_ && gateway_.ports[port]->is_memif()) [[unlikely]]
        return 0;
    RxQueue<burst>& arrivals = arrivals_[port];
    const std::span<rte_mbuf*> frames = arrivals.take(gateway_.ports[port]->id(), id_);
    if (frames.empty()) return 0;

    const Station own(gateway_.macs[port]);
    PacketContext* context = contexts_.data();
    std::uint64_t bytes = 0;
    for (rte_mbuf* frame : frames) {
        bytes += rte_pktmbuf_pkt_len(frame);
        if (rte_pktmbuf_data_len(frame) < sizeof(nat::EthernetHeader) ||
            !own.takes_ip(rte_pktmbuf_mtod(frame, const std::uint8_t*))) [[unlikely]] {
            if (!sort_out(port, frame, round)) continue;
        }
        take_ip_packet(frame, context->packet);
        context->ingress_port = port;
        context->buffer = frame;
        ++context;
    }
    counters_.rx_bytes.add(bytes);
    counters_.rx_packets.add(frames.size());
    const std::span contexts(contexts_.data(), context);
    pipeline_.process(contexts, round);
    // While these are sent, which waits for no memory, the next ones are brought in.
    const std::span<rte_mbuf* const> ahead = arrivals.ahead();
    for (std::size_t i = 0; i < contexts.size(); ++i) {
        if (i < ahead.size()) RxQueue<burst>::prefetch(ahead[i]);
        act(contexts[i], round);
    }
    send_own_segments(round);
    end_step(nat::Step::transmit);
    return frames.size();
}

/// A frame that is no untagged IP packet to `port`'s own address. True: it has become one, and is
/// the caller's again.
bool Worker::sort_out(std::uint16_t port, rte_mbuf* frame, Round round) {
    const nat::DropReason unfit = unfit_frame(frame, gateway_.macs[port]);
    if (unfit != nat::DropReason::none) {
        egress_.drop(frame, unfit);
        return false;
    }
    if (ethernet(frame).type.get().host() == nat::ether_type::ipv4) return true;
    handle_arp(port, frame, round);
    return false;
}

void Worker::handle_arp(std::uint16_t port, rte_mbuf* frame, Round round) {
    const nat::PacketView payload = ip_packet(frame);
    const auto message = nat::parse_arp({payload.data, payload.length});
    if (!message)
        return egress_.drop(frame, payload.length < nat::arp_bytes ? nat::DropReason::truncated
                                                                   : nat::DropReason::bad_arp);
    rte_pktmbuf_free(frame);
    counters_.arp_received.add();
    neighbors_.handle(port, *message, round);
}

/// The context's frame, without what the link layer padded on the way in.
inline rte_mbuf* Worker::trimmed(const PacketContext& context) {
    auto* frame = static_cast<rte_mbuf*>(context.buffer);
    const std::uint32_t length =
        static_cast<std::uint32_t>(sizeof(nat::EthernetHeader)) + context.parsed.length;
    if (frame->nb_segs == 1) [[likely]] {
        // By hand: rte_pktmbuf_trim would follow the chain, which lies on the buffer's second line.
        frame->data_len = static_cast<std::uint16_t>(length);
        frame->pkt_len = length;
    } else if (rte_pktmbuf_pkt_len(frame) > length)
        rte_pktmbuf_trim(frame, static_cast<std::uint16_t>(rte_pktmbuf_pkt_len(frame) - length));
    return frame;
}

/// A packet that was put together or leaves in fragments, and was translated, is as if sent by this
/// gateway: nobody else sees to it that its identification is its own [RFC 6864 section 5.3.1]. One
/// that was not translated keeps its sender's, who has seen to it.
void Worker::identify(const PacketContext& context) {
    const auto& ip = nat::header<nat::IpHeader<V4>>(context.packet, 0);
    const V4Address source = ip.source.get(), destination = ip.destination.get();
    if (source == context.parsed.tuple.source && destination == context.parsed.tuple.destination)
        return;
    nat::set_identification(context.packet,
                            gateway_.lasting.packet_ids.next(source, destination, ip.protocol));
}

void Worker::transmit_in_fragments(const PacketContext& context) {
    identify(context);
    // A packet that came in fragments had a reason to be no larger on this path.
    nat::Hop<V4> hop = context.hop;
    if (context.packet.largest_fragment != 0)
        hop.mtu = std::min(hop.mtu, std::max(context.packet.largest_fragment, least_mtu));
    egress_.send_long(trimmed(context), hop);
}

inline void Worker::act(PacketContext& context, Round round) {
    if (context.verdict.outcome == nat::Outcome::transmit) [[likely]]
        egress_.send(trimmed(context), context.hop);
    else
        do_otherwise(context, round);
}

void Worker::do_otherwise(PacketContext& context, Round round) {
    auto* frame = static_cast<rte_mbuf*>(context.buffer);
    switch (context.verdict.outcome) {
        case nat::Outcome::transmit:
            return egress_.send(trimmed(context), context.hop);
        case nat::Outcome::fragment:
            return transmit_in_fragments(context);
        case nat::Outcome::park:
            return park(context, round.now_ms);
        case nat::Outcome::taken:
            return rte_pktmbuf_free(frame);
        case nat::Outcome::reject:
            reject(context, round);
            return egress_.drop(frame, context.verdict.reason);
        case nat::Outcome::reset:
            reset(context, round);
            return egress_.drop(frame, context.verdict.reason);
        case nat::Outcome::drop:
            if (context.verdict.reason == nat::DropReason::fragment)
                return reassemble(context, round);
            return egress_.drop(frame, reason_for(context));
    }
}

/// The verdict's reason; but a packet socket that cannot hold a frame hands over its beginning.
nat::DropReason Worker::reason_for(const PacketContext& context) const {
    if (context.verdict.reason != nat::DropReason::truncated ||
        context.ingress_port == nat::no_port)
        return context.verdict.reason;
    const std::uint32_t longest = gateway_.ports[context.ingress_port]->longest_frame();
    const bool cut =
        longest != 0 && rte_pktmbuf_data_len(static_cast<rte_mbuf*>(context.buffer)) >= longest;
    return cut ? nat::DropReason::frame_too_long : nat::DropReason::truncated;
}

/// A fragment, found by `parse` to be one. The packet that it completes goes through the pipeline
/// as if it had come now, whole [RFC 4787 REQ-14].
void Worker::reassemble(const PacketContext& fragment, Round round) {
    const auto whole = reassembly_.add(static_cast<rte_mbuf*>(fragment.buffer), fragment.packet,
                                       fragment.ingress_port, round.now_ms);
    if (!whole) return;
    PacketContext context{};
    context.packet = ip_packet(whole->frame);
    context.packet.largest_fragment = whole->largest_fragment;
    context.ingress_port = fragment.ingress_port;
    context.buffer = whole->frame;
    pipeline_.process({&context, 1}, round);
    send_own_segments(round);
    act_on_late(context, round);
}

/// As `act`, of a packet that may have come in fragments.
void Worker::act_on_late(PacketContext& context, Round round) {
    if (context.packet.largest_fragment != 0 && context.verdict.outcome == nat::Outcome::transmit)
        identify(context);
    act(context, round);
}

void Worker::park(const PacketContext& context, std::uint64_t now_ms) {
    auto* frame = static_cast<rte_mbuf*>(context.buffer);
    if (!parked_.enter({frame, context.ingress_port, context.packet.largest_fragment, now_ms}))
        return egress_.drop(frame, nat::DropReason::park_full);
    counters_.parked.add();
}

/// Packets whose flow another worker was setting up: looked up again as if they came now.
void Worker::revisit_parked(Round round) {
    // Those that have to go on waiting re-enter behind; each is seen once a call.
    for (std::size_t left = parked_.size(); left > 0;) {
        const std::size_t count = std::min(left, burst);
        std::array<Parked, burst> waited{};
        std::array<PacketContext, burst> contexts{};
        std::size_t taken = 0;
        parked_.take(count, [&](const Parked& packet) { waited[taken++] = packet; });
        for (std::size_t i = 0; i < taken; ++i) {
            contexts[i].packet = ip_packet(waited[i].frame);
            contexts[i].packet.largest_fragment = waited[i].largest_fragment;
            contexts[i].ingress_port = waited[i].ingress_port;
            contexts[i].buffer = waited[i].frame;
        }
        pipeline_.process({contexts.data(), taken}, round);
        send_own_segments(round);
        for (std::size_t i = 0; i < taken; ++i) {
            if (contexts[i].verdict.outcome != nat::Outcome::park) {
                if (contexts[i].verdict.transmits()) counters_.adopted.add();
                act_on_late(contexts[i], round);
            } else if (round.now_ms - waited[i].since_ms > park_ms || !parked_.enter(waited[i])) {
                if (contexts[i].verdict.tells_when_late()) reject(contexts[i], round);
                egress_.drop(waited[i].frame, contexts[i].verdict.reason);
            }
        }
        left -= taken;
    }
}

/// Tells the sender why its packet, which is still as it came, goes no further.
void Worker::reject(const PacketContext& context, Round round) {
    const RouteTable& router = round.policy.router;
    const auto hop = router.route(context.parsed.tuple.source);
    if (!hop) return;
    // From the port that it leaves by [RFC 1812 section 4.3.2.4].
    rte_mbuf* frame =
        make_error(context, context.verdict.error, router.port_address(hop->port), round.now_ms);
    if (frame != nullptr) egress_.send(frame, *hop);
}

/// Tells the sender of a segment that its connection is unknown. (A frame that came by link-layer
/// broadcast has not come so far.) Of a connection that was reset here, it is told at any rate: no
/// more often than it sends.
void Worker::reset(const PacketContext& context, Round round) {
    const V4Address to = context.parsed.tuple.source;
    const auto hop = round.policy.router.route(to);
    if (!hop) return;
    if (context.verdict.reason != nat::DropReason::tcp_ended && !resets_.allow(to, round.now_ms))
        return counters_.tcp_resets_suppressed.add();
    const auto answer = nat::build_tcp_reset<V4>(context.packet, context.parsed);
    rte_mbuf* frame = make_frame(answer.bytes());
    if (frame == nullptr) return;
    counters_.tcp_resets_sent.add();
    egress_.send(frame, *hop);
}

/// Tells ends of connections that these have ended. Few at a time, between bursts; of a great many,
/// those that are left keep the worker from its naps. @return how many were sent
std::size_t Worker::send_flow_resets(Round round) {
    FlowResets& waiting = gateway_.flow_resets[id_];
    if (waiting.empty()) [[likely]]
        return 0;
    if (flow_resets_ms_ != round.now_ms) {
        flow_resets_ms_ = round.now_ms;
        flow_resets_left_ = flow_resets_a_ms;
    }
    const std::size_t sent = waiting.drain(
        [&](const FlowReset& reset) { send(reset, counters_.flow_resets_sent, round); },
        std::min(flow_resets_a_round, flow_resets_left_));
    flow_resets_left_ -= sent;
    return sent;
}

/// What the pipeline answers itself, and what its timers ask for.
inline void Worker::send_own_segments(Round round) {
    if (!pipeline_.outbox().empty()) [[unlikely]]
        send_all_own_segments(round);
}
void Worker::send_all_own_segments(Round round) {
    for (const nat::OwnSegment<V4>& segment : pipeline_.outbox().take())
        send(segment, counters_.own_segments_sent, round);
}
void Worker::send(const nat::OwnSegment<V4>& segment, Counter& sent, Round round) {
    rte_mbuf* frame = make_frame(segment.bytes());
    if (frame == nullptr) return;
    sent.add();
    const auto hop = round.policy.router.route(segment.destination());
    if (!hop) return egress_.drop(frame, nat::DropReason::no_route);
    egress_.send(frame, *hop);
}

/// The neighbour that a packet waited for does not answer. The packet is translated already, so the
/// error about it is made as a router behind us would make it, and goes through the pipeline, which
/// gives it back the addresses its sender knows; of what was forwarded untracked, they are known.
void Worker::neighbor_failed(rte_mbuf* failed, Round round) {
    const RouteTable& router = round.policy.router;
    PacketContext about{};
    about.packet = ip_packet(failed);
    about.packet.ip_checksum = nat::Checked::unknown;  // what the device said is of the past
    about.packet.l4_checksum = nat::Checked::unknown;
    if (nat::parse<V4>(about.packet, 0, about.parsed) == nat::DropReason::none) {
        const V4Address source = about.parsed.tuple.source;
        const auto hop = router.route(source);
        rte_mbuf* frame = make_error(about, nat::icmp_error::host_unreachable,
                                     reporter_to(source, hop, router), round.now_ms);
        if (frame != nullptr) {
            PacketContext error{};
            error.packet = ip_packet(frame);
            error.buffer = frame;
            error.ingress_port = nat::no_port;
            pipeline_.process({&error, 1}, round);
            if (hop && was_untracked(about, error, round.policy))
                egress_.send(frame, *hop);
            else
                act(error, round);
        }
    }
    egress_.drop(failed, nat::DropReason::neighbor_failed);
}

/// Whether a packet that left was forwarded untracked: the error about it concerns no flow, and
/// neither end is one that a flow which has ended could have translated.
bool Worker::was_untracked(const PacketContext& about, const PacketContext& error,
                           const PolicySnapshot& policy) {
    const Tuple<V4>& tuple = about.parsed.tuple;
    return policy.untracked.any() && error.verdict.reason == nat::DropReason::icmp_unrelated &&
           !policy.router.is_translated(tuple.source) &&
           !policy.router.is_translated(tuple.destination);
}

/// The address of the port that an error to `address` leaves by [RFC 1812 section 4.3.2.4]. Where
/// that is `address` itself, as of a masqueraded flow, another one: the pipeline, which knows whom
/// the error is really for, gives it the right one.
V4Address Worker::reporter_to(const V4Address& address, const std::optional<nat::Hop<V4>>& hop,
                              const RouteTable& router) const {
    if (hop && router.port_address(hop->port) != address) return router.port_address(hop->port);
    for (std::uint16_t port = 0; port < gateway_.port_count(); ++port)
        if (const V4Address other = router.port_address(port); other != address) return other;
    return router.port_address(0);
}

/// A frame with an ICMP error about a packet; null when none may or can be sent.
rte_mbuf* Worker::make_error(const PacketContext& about, nat::IcmpError error, V4Address from,
                             std::uint64_t now_ms) {
    std::array<std::uint8_t, nat::icmp_error_bytes> bytes{};
    const std::size_t length =
        nat::build_icmp_error<V4>(about.packet, about.parsed, error, from, bytes);
    if (length == 0) return nullptr;
    // Path MTU discovery must not depend on who else provokes errors.
    IcmpRateLimit& limit = error.mtu != 0 ? mtu_errors_ : errors_;
    if (!limit.allow(about.parsed.tuple.source, now_ms)) {
        counters_.icmp_errors_suppressed.add();
        return nullptr;
    }
    rte_mbuf* frame = make_frame({bytes.data(), length});
    if (frame != nullptr) counters_.icmp_errors_sent.add();
    return frame;
}

/// A frame with an IP packet of our own, of at most `icmp_error_bytes`; null when there is no
/// buffer.
rte_mbuf* Worker::make_frame(std::span<const std::uint8_t> packet) {
    rte_mbuf* frame = rte_pktmbuf_alloc(gateway_.buffers);
    if (frame == nullptr) {
        counters_.no_buffer.add();
        return nullptr;
    }
    // Never short of room: a buffer holds a frame of at least 1,280 bytes.
    char* room = rte_pktmbuf_append(
        frame, static_cast<std::uint16_t>(sizeof(nat::EthernetHeader) + packet.size()));
    std::memcpy(room + sizeof(nat::EthernetHeader), packet.data(), packet.size());
    return frame;
}

}  // namespace noclash::dpdk
