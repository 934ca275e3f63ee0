// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "bench/pipeline/cases.hpp"

namespace noclash::bench {
namespace {

namespace tcp_flag = nat::tcp_flag;

constexpr std::uint32_t of_a_client = 64;
// No client of `Flows` is in either. The route to forged ones leads outside, where established
// packets go, too: a burst with both is sent by one port, as one without the other.
constexpr std::uint32_t honest_base = 0x0a800000, forged_base = 0x64400000;
constexpr std::uint32_t forged = 4 * million;  // before the first source comes again
constexpr std::uint32_t others_of_a_packet = 10;
constexpr std::uint32_t proxied_flows = 16 * thousand;
constexpr double target = 0.98;

/// A service and its clients, whom the backend sees as they are.
struct Vip {
    V4Address address;
    V4Address backend;
    std::uint32_t first_client;
    const char* syn_proxy;

    static constexpr std::uint16_t port = 443, backend_port = 8443;

    [[nodiscard]] std::string text() const {
        return fmt::format(
            "[[service]]\nname = \"{0}\"\naddress = \"{0}\"\nports = {1}\nprotocol = \"tcp\"\n"
            "in = \"inside\"\nbackends = [\"{2}:{3}\"]\nsyn_proxy = \"{4}\"\n",
            to_string<V4>(address), port, to_string<V4>(backend), backend_port, syn_proxy);
    }
    /// Of client `number`, as the client sends it; and as the backend gets it.
    [[nodiscard]] Tuple<V4> original(std::uint32_t number) const {
        return of(number, address, port);
    }
    [[nodiscard]] Tuple<V4> at_backend(std::uint32_t number) const {
        return of(number, backend, backend_port);
    }

  private:
    [[nodiscard]] Tuple<V4> of(std::uint32_t number, V4Address to, std::uint16_t to_port) const {
        return {V4Address::from_host(first_client + number / of_a_client),
                to,
                Be16::from_host(static_cast<std::uint16_t>(32768U + number % of_a_client)),
                Be16::from_host(to_port),
                0,
                nat::ip_protocol::tcp,
                0};
    }
};

Vip vip_of(std::uint8_t number, std::uint32_t first_client, const char* syn_proxy) {
    return {V4Address::from_host(0xc0000200U + number), V4Address::from_host(0xac100100U + number),
            first_client, syn_proxy};
}

/// The SYN of client `i`, whose sequence number is `i`.
Traffic syns_to(const Vip& vip) {
    return [vip](unsigned, std::uint64_t i) {
        const auto number = static_cast<std::uint32_t>(i % forged);
        return Sending{Side::inside, vip.original(number), {number, tcp_flag::syn}};
    };
}

/// Pings to the same address, from as many sources. The gateway answers them, too, without a flow
/// and without the SYN proxy.
Traffic pings_to(const Vip& vip) {
    return [vip](unsigned, std::uint64_t i) {
        const auto number = static_cast<std::uint32_t>(i % forged);
        Tuple<V4> tuple = vip.original(number);
        tuple.protocol = nat::ip_protocol::icmp;
        tuple.destination_port = {};
        return Sending{Side::inside, tuple, {number}};
    };
}

/// `packets`, each in the midst of so many of `others`.
Traffic among(const Traffic& packets, const Traffic& others) {
    constexpr std::uint32_t cycle = others_of_a_packet + 1;
    return [=](unsigned worker, std::uint64_t i) {
        return i % cycle == cycle / 2 ? packets(worker, i / cycle) : others(worker, i);
    };
}

/// A segment of the gateway's own, which may have options.
struct OwnSight {
    Tuple<V4> tuple{};
    std::uint32_t sequence, acknowledgment;
    std::uint16_t window;
    std::uint8_t flags;
};

OwnSight look_at_own(rte_mbuf* frame) {
    auto* bytes = rte_pktmbuf_mtod(frame, std::uint8_t*);
    const FrameBytes view(bytes, frame_bytes);
    const auto& ip = header_in<nat::IpHeader<V4>>(view, frame_layout::ip);
    const auto& tcp = header_in<nat::TcpHeader>(view, frame_layout::transport);
    const std::size_t length = ip.total_length.get().host();
    expect(rte_pktmbuf_pkt_len(frame) == frame_layout::ip + length && length <= frame_bytes,
           "a segment of the gateway's own has a wrong length");
    const std::span<const std::uint8_t> segment(bytes + frame_layout::transport,
                                                length - sizeof ip);
    expect(nat::checksum::good(nat::checksum::sum(view.subspan(frame_layout::ip, sizeof ip))) &&
               nat::checksum::good(nat::checksum::sum(
                   segment, nat::checksum::pseudo_header<V4>(
                                ip.source.get(), ip.destination.get(), ip.protocol,
                                static_cast<std::uint32_t>(segment.size())))),
           "a segment of the gateway's own has a wrong checksum");
    return {{ip.source.get(), ip.destination.get(), tcp.source_port.get(),
             tcp.destination_port.get(), 0, ip.protocol, 0},
            tcp.sequence.get().host(),
            tcp.acknowledgment.get().host(),
            tcp.window.get().host(),
            tcp.flags};
}

/// The clients' cookies, by number, learned from SYN-ACKs that are looked at.
class Cookies {
  public:
    Cookies(const Vip& vip, std::uint32_t clients) : vip_(vip), by_client_(clients) {}

    [[nodiscard]] std::uint32_t of(std::uint32_t client) const { return by_client_[client]; }
    /// SYN-ACKs so far.
    [[nodiscard]] std::uint64_t seen() const { return seen_; }

    /// A frame that came out. False: it is no SYN-ACK.
    bool learn(rte_mbuf* frame) {
        const OwnSight answer = look_at_own(frame);
        if (answer.flags != (tcp_flag::syn | tcp_flag::ack)) return false;
        const std::uint32_t number = answer.acknowledgment - 1;
        expect(answer.window == 0, "a SYN-ACK does not close the window");
        expect(number < forged && answer.tuple == vip_.original(number).inverse(),
               "a SYN-ACK is not for the client that sent the SYN");
        if (number < by_client_.size()) by_client_[number] = answer.sequence;
        ++seen_;
        return true;
    }

  private:
    Vip vip_;
    std::vector<std::uint32_t> by_client_;
    std::uint64_t seen_ = 0;
};

std::uint64_t cookies_sent(Bed& bed) {
    return bed.worker(0).pipeline().slow_path().syn_proxy().counters().cookies_sent.value();
}

/// The costs of established packets and of others, each alone and in one burst, of one moment.
struct Turn {
    Cost alone, others, mixed;

    [[nodiscard]] bool disturbed() const {
        return alone.disturbed() || others.disturbed() || mixed.disturbed();
    }
    /// ns an established packet in the mixture: what the others cost by themselves is taken off.
    [[nodiscard]] double among_others() const {
        return (others_of_a_packet + 1) * mixed.ns - others_of_a_packet * others.ns;
    }
};

template <class Of>
double median_of(const std::vector<Turn>& turns, Of of) {
    std::vector<double> values;
    for (const Turn& turn : turns)
        values.push_back(of(turn));
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// Whole cycles and batches of a mixture.
constexpr std::uint64_t packets_of_a_turn = (others_of_a_packet + 1) * batch_frames;

/// All come by one port and leave by one, so the rings cost them the same.
std::vector<Turn> turns_of(Trial& trial, const Traffic& packets, const Traffic& others,
                           const Options& options) {
    const Traffic mixture = among(packets, others);
    trial.calibrate(1, packets);
    const auto turns = static_cast<unsigned>(
        std::max<std::uint64_t>(options.packets / (2 * packets_of_a_turn), 9));
    return undisturbed(turns, 2 * turns, [&](unsigned) {
        const auto cost = [&](const Traffic& of) { return trial.time(1, packets_of_a_turn, of); };
        return Turn{cost(packets), cost(others), cost(mixture)};
    });
}

void among_syns(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    const Vip attacked = vip_of(7, forged_base, "on");
    Bed bed(dpdk, {.flows = 128 * thousand, .rules = attacked.text()});
    Translations translations({}, 64 * thousand, bed.gateway());
    Trial trial(bed, translations);
    establish(trial, translations);
    const auto alone_ns = [](const Turn& turn) { return turn.alone.ns; };
    const auto others_ns = [](const Turn& turn) { return turn.others.ns; };
    const auto among_ns = [](const Turn& turn) { return turn.among_others(); };
    for (const std::uint32_t flows : {thousand, 64 * thousand}) {
        const std::string what = fmt::format("established, {} flows", count_words(flows));
        PipelineReport::progress(what + ", among the SYNs of a flood");
        Cookies cookies(attacked, 0);
        const Traffic packets = established(translations, flows, Way::out);
        const Traffic syns = syns_to(attacked), pings = pings_to(attacked);
        const std::vector<Turn> with_syns = turns_of(trial, packets, syns, options);
        const std::vector<Turn> with_pings = turns_of(trial, packets, pings, options);

        const std::uint64_t before = cookies_sent(bed);
        trial.check_by([&](const Lane& lane) {
            for (rte_mbuf* frame : lane.out(Side::outside))
                if (!cookies.learn(frame)) translations.check(frame, bed, Side::outside);
        });
        trial.verify(1, packets_of_a_turn, among(packets, syns));
        trial.verify(1, packets_of_a_turn, syns);
        const std::uint64_t sent =
            packets_of_a_turn / (others_of_a_packet + 1) * others_of_a_packet + packets_of_a_turn;
        expect(cookies.seen() == sent && cookies_sent(bed) - before == sent,
               "a SYN got no SYN-ACK");
        expect(bed.live_flows() == translations.size(), "a SYN of the flood has made a flow");
        report.row(what + ", alone", median_of(with_syns, alone_ns), "ns");
        report.row(what + ", among 10 SYNs each", median_of(with_syns, among_ns), "ns");
        report.row(what + ", among 10 pings each", median_of(with_pings, among_ns), "ns");
        report.row(
            what + ", alone / among SYNs",
            median_of(with_syns, [](const Turn& t) { return t.alone.ns / t.among_others(); }), "x",
            target);
        report.row(what + ", costs of the parts / cost of the mixture with SYNs",
                   median_of(with_syns,
                             [](const Turn& t) {
                                 return (t.alone.ns + others_of_a_packet * t.others.ns) /
                                        ((others_of_a_packet + 1) * t.mixed.ns);
                             }),
                   "x");
        report.row(what + ", among pings / among SYNs",
                   median_of(with_pings, among_ns) / median_of(with_syns, among_ns), "x");
        report.row(fmt::format("a SYN answered by a cookie, beside {} flows", count_words(flows)),
                   median_of(with_syns, others_ns), "ns");
        report.row(fmt::format("a ping answered, beside {} flows", count_words(flows)),
                   median_of(with_pings, others_ns), "ns");
    }
    expect(bed.dropped() == 0, "packets were dropped");
}

/// Backends answer `count` SYNs, and the gateway tells both sides.
void answer_all(Bed& bed, std::uint32_t count, const Traffic& answers) {
    bed.on_workers(1, [&](unsigned) {
        const auto lane = std::make_unique<Lane>(bed, 0);
        dpdk::Worker& worker = bed.worker(0);
        worker.begin();
        for (std::uint32_t first = 0; first < count; first += batch_frames) {
            const std::uint32_t size = std::min(batch_frames, count - first);
            lane->write(size, [&](std::uint32_t i) { return answers(0, first + i); });
            lane->run(worker, Time::real());
            // (One that is answered late has had its SYN sent again.)
            expect(
                lane->out(Side::inside).size() == size && lane->out(Side::outside).size() >= size,
                "a backend's SYN-ACK has not opened the connection on both sides");
            lane->release();
        }
        worker.end();
    });
}

/// Looks at segments of clients as the backend gets them: in its own numbers.
void check_at_backend(const Lane& lane, const Vip& vip, std::uint32_t ahead) {
    for (rte_mbuf* frame : lane.out(Side::outside)) {
        auto* bytes = rte_pktmbuf_mtod(frame, std::uint8_t*);
        const Sight sight = look_at(FrameBytes(bytes, frame_bytes), rte_pktmbuf_pkt_len(frame));
        expect(sight.fault == nullptr, sight.fault);
        const OwnSight numbers = look_at_own(frame);
        const std::uint32_t number = numbers.sequence - ahead;
        expect(numbers.tuple == vip.at_backend(number) && numbers.acknowledgment == number + 1,
               "a segment does not reach its backend in its numbers");
    }
}

Cost accepted_cost(Bed& bed, Trial& trial, const Options& options, const Traffic& showing) {
    const unsigned fills = options.fills_of(proxied_flows);
    return median(undisturbed(fills, 2 * fills, [&](unsigned i) {
        if (i > 0) bed.forget_flows();
        trial.calibrate(1, showing);
        const Cost cost = trial.time_opening(1, proxied_flows, showing);
        expect(bed.live_flows() == proxied_flows, "flows are missing");
        return cost;
    }));
}

/// Client `i` of 16 k, drawn at random.
Traffic at_random(const Traffic& in_order) {
    return [in_order](unsigned worker, std::uint64_t i) {
        return in_order(worker, i * 0x9e3779b97f4a7c15U >> 50U);  // 14 bits
    };
}
static_assert(proxied_flows == 1U << 14U);

void of_the_proxy(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    PipelineReport::progress("connections of the SYN proxy");
    const Vip guarded = vip_of(7, honest_base, "on"), plain = vip_of(8, honest_base, "off");
    Bed bed(dpdk, {.flows = 128 * thousand, .rules = guarded.text() + plain.text()});
    Translations translations({}, 0, bed.gateway());
    Trial trial(bed, translations);
    Cookies cookies(guarded, proxied_flows);
    trial.check_by([&](const Lane& lane) {
        for (rte_mbuf* frame : lane.out(Side::inside))
            cookies.learn(frame);
    });
    trial.verify(1, proxied_flows, syns_to(guarded));
    expect(cookies.seen() == proxied_flows && bed.live_flows() == 0,
           "a SYN got no SYN-ACK, or a flow");

    const auto client_says = [&](std::uint8_t flags) -> Traffic {
        return [&guarded, &cookies, flags](unsigned, std::uint64_t i) {
            const auto number = static_cast<std::uint32_t>(i % proxied_flows);
            return Sending{Side::inside,
                           guarded.original(number),
                           {number + 1, flags, cookies.of(number) - number}};
        };
    };
    trial.check_by([&](const Lane& lane) {
        for (rte_mbuf* frame : lane.out(Side::outside)) {
            const OwnSight syn = look_at_own(frame);
            expect(syn.flags == tcp_flag::syn && syn.tuple == guarded.at_backend(syn.sequence),
                   "a backend does not get its client's SYN");
        }
    });
    const Cost accepted = accepted_cost(bed, trial, options, client_says(tcp_flag::ack));
    report.row("a cookie accepted, and its flow set up", accepted.ns, "ns");
    answer_all(bed, proxied_flows, [&](unsigned, std::uint64_t i) {
        const auto number = static_cast<std::uint32_t>(i);
        return Sending{Side::outside,
                       guarded.at_backend(number).inverse(),
                       {number, tcp_flag::syn | tcp_flag::ack}};
    });

    const auto established_of = [&](const Vip& vip, const Traffic& in_order, std::uint32_t ahead) {
        trial.check_by([&vip, ahead](const Lane& lane) { check_at_backend(lane, vip, ahead); });
        return established_cost(trial, options, at_random(in_order));
    };
    constexpr std::uint8_t data = tcp_flag::ack | tcp_flag::psh;
    const Cost shifted = established_of(guarded, client_says(data), 1);
    report.row("established, 16 k flows, proxied", shifted.ns, "ns");

    const auto client_of_plain = [&](std::uint8_t flags) -> Traffic {
        return [&plain, flags](unsigned, std::uint64_t i) {
            const auto number = static_cast<std::uint32_t>(i);
            return Sending{Side::inside, plain.original(number), {number, flags}};
        };
    };
    trial.check_by([](const Lane&) {});
    trial.verify(1, proxied_flows, client_of_plain(tcp_flag::syn));
    trial.verify(1, proxied_flows, [&](unsigned, std::uint64_t i) {
        const auto number = static_cast<std::uint32_t>(i);
        return Sending{Side::outside,
                       plain.at_backend(number).inverse(),
                       {number, tcp_flag::syn | tcp_flag::ack}};
    });
    const Cost usual = established_of(plain, client_of_plain(data), 0);
    report.row("established, 16 k flows, through a service, not proxied", usual.ns, "ns");
    expect(bed.live_flows() == 2 * proxied_flows, "flows are missing");
    expect(bed.dropped() == 0, "packets were dropped");
}

}  // namespace

void syn_flood(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    among_syns(dpdk, options, report);
    of_the_proxy(dpdk, options, report);
}

}  // namespace noclash::bench
