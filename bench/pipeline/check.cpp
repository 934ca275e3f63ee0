// SPDX-License-Identifier: Apache-2.0
#include "bench/pipeline/check.hpp"

namespace noclash::bench {

void Translations::check(const Lane& lane, const Bed& bed) {
    for (const Side side : {Side::inside, Side::outside})
        for (rte_mbuf* frame : lane.out(side))
            check(frame, bed, side);
}

void Translations::check(rte_mbuf* frame, const Bed& bed, Side side) {
    const FrameBytes view(rte_pktmbuf_mtod(frame, std::uint8_t*), frame_bytes);
    const auto& ethernet = header_in<nat::EthernetHeader>(view, 0);
    expect(ethernet.destination == Bed::neighbor_mac(side) && ethernet.source == bed.mac(side) &&
               ethernet.type.get().host() == nat::ether_type::ipv4,
           "a frame has wrong link-layer addresses");
    const Sight sight = look_at(view, rte_pktmbuf_pkt_len(frame));
    expect(sight.fault == nullptr, sight.fault);
    expect(sight.content.number < size(), "a packet has lost its data");
    if (side == Side::outside)
        check_outward(sight);
    else
        check_inward(sight);
}

void Translations::check_outward(const Sight& sight) {
    Tuple<V4> expected = flows_.original(sight.content.number);
    const Ends ends{sight.tuple.source, sight.tuple.source_port, sight.tuple.destination,
                    sight.tuple.destination_port};
    const auto service = services_.find(expected.destination.value.host());
    if (service != services_.end()) {
        expect(std::ranges::any_of(service->second->backends,
                                   [&](const nat::Backend<V4>& backend) {
                                       return backend.address == ends.server &&
                                              backend.port == ends.server_port.host();
                                   }),
               "a packet went to no backend of its service");
        expected.destination = ends.server;
        expected.destination_port = ends.server_port;
    }
    expected.source = ends.address;
    expected.source_port = ends.port;
    expect(sight.tuple == expected, "a packet has a wrong destination or protocol");
    Ends& known = sources_[sight.content.number];
    if (known == Ends{}) {
        const nat::Rule<V4>& rule = gateway_.config.policy.rules.back();
        if (service == services_.end() && rule.action == nat::Action::snat) {
            const nat::Pool<V4>& pool = gateway_.config.policy.pools[rule.pool];
            expect(std::ranges::find(pool.addresses, ends.address) != pool.addresses.end() &&
                       pool.ports.contains(ends.port.host()),
                   "a source is none of the pool's");
        } else {
            const Tuple<V4> original = flows_.original(sight.content.number);
            expect(ends.address == original.source && ends.port == original.source_port,
                   "a source that is to stay has changed");
            expect(service != services_.end() || ends.server == original.destination,
                   "a packet that is only forwarded has changed");
        }
        known = ends;
    }
    expect(known == ends, "two packets of a flow are translated differently");
}

void Translations::check_inward(const Sight& sight) const {
    expect(sight.tuple == flows_.original(sight.content.number).inverse(),
           "an answer does not reach its client");
}

void Translations::check_unique() const {
    std::vector<std::uint64_t> owned(size());
    for (std::uint32_t i = 0; i < size(); ++i) {
        expect(sources_[i] != Ends{}, "a flow was not translated");
        const std::uint64_t server = flows_.original(i).destination.value.host() & 0xffff;
        owned[i] = server << 48U | std::uint64_t{sources_[i].address.value.host()} << 16U |
                   sources_[i].port.host();
    }
    std::sort(owned.begin(), owned.end());
    expect(std::adjacent_find(owned.begin(), owned.end()) == owned.end(),
           "two flows have the same translation");
}

}  // namespace noclash::bench
