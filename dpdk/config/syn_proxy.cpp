// SPDX-License-Identifier: Apache-2.0

// The SYN proxy of a service.

#include "dpdk/config/sections.hpp"
#include "dpdk/config/services.hpp"
#include "dpdk/config/words.hpp"

namespace noclash::dpdk {

namespace {

nat::SynOffer read_offer(const Section& section) {
    using Offer = nat::SynOffer;
    section.allow_only({"mss", "window_scale", "sack", "timestamps"});
    Offer offer;
    section.read("mss", offer.max_segment_size, Offer::least_segment, Offer::most_segment);
    section.read("window_scale", offer.window_scale, 0, Offer::most_scale);
    offer.sack = section.boolean("sack").value_or(offer.sack);
    offer.timestamps = section.boolean("timestamps").value_or(offer.timestamps);
    return offer;
}

}  // namespace

void read_syn_proxy(const Section& section, nat::Service<V4>& service) {
    read_word(section, "syn_proxy", syn_proxy_words, service.syn_proxy);
    section.read("syn_proxy_above", service.syn_proxy_above, 1, nat::most_syn_proxy_above);
    const auto elements = section.elements("syn_offer");
    if (elements.empty()) return;
    if (elements.size() == 1 && elements.front().is_table())
        service.syn_offer = read_offer(section.part("syn_offer", elements.front()));
    else
        section.wrong_type("syn_offer", elements.front(),
                           "a table, as { mss = 1460, window_scale = 7 }");
}

}  // namespace noclash::dpdk
