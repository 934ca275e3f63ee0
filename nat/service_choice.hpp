// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

#include "nat/packet/packet_context.hpp"
#include "nat/policy/service_rules.hpp"

namespace noclash::nat {

/// Which service a packet is for, and which backend a flow that it opens would go to.
template <class Family>
struct ServiceChoice {
    const Rule<Family>* rule;  ///< null: the packet is for no service
    const typename ServiceRules<Family>::Head* head;
    const ChosenBackend<Family>* backend;  ///< null: there is none
};

/// Chooses for a burst of packets, stage by stage: what one stage reads, the one before has
/// fetched. With thousands of services next to nothing that a packet needs is in a near cache, and
/// each of its reads follows from the one before; so those of all packets are waited for together.
/// One per worker.
template <class Family>
class ServiceChooser {
  public:
    static constexpr std::size_t burst = 32;

    /// The choices of at most `burst` packets, in their order; valid until the next call.
    [[nodiscard, gnu::noinline]] const ServiceChoice<Family>* choose(
        std::span<PacketContext<Family>* const> contexts, const ServiceRules<Family>& services) {
        assert(contexts.size() <= burst);
        std::array<std::size_t, burst> homes;
        for (std::size_t i = 0; i < contexts.size(); ++i) {
            homes[i] = services.ports().home_of(contexts[i]->parsed.tuple);
            services.ports().prefetch(homes[i]);
        }
        std::array<std::uint8_t, burst> of_services;
        std::size_t count = 0;
        for (std::size_t i = 0; i < contexts.size(); ++i) {
            choices_[i] = find(*contexts[i], homes[i], services);
            if (choices_[i].rule == nullptr) continue;
            __builtin_prefetch(choices_[i].rule);
            __builtin_prefetch(choices_[i].head);
            of_services[count++] = static_cast<std::uint8_t>(i);
        }
        std::array<SlotsView<Family>, burst> views;
        std::array<const std::uint16_t*, burst> slots;
        for (std::size_t n = 0; n < count; ++n) {
            const std::size_t i = of_services[n];
            views[n] = choices_[i].head->slots();
            if (views[n].empty()) continue;
            slots[n] = views[n].slot_of(BackendTable<Family>::hash(
                contexts[i]->parsed.tuple, choices_[i].head->affinity(), services.key()));
            __builtin_prefetch(slots[n]);
            __builtin_prefetch(views[n].backend(0));  // in its line are all that a small one has
        }
        for (std::size_t n = 0; n < count; ++n) {
            if (views[n].empty()) continue;
            choices_[of_services[n]].backend = views[n].backend(*slots[n]);
            __builtin_prefetch(choices_[of_services[n]].backend);
        }
        return choices_.data();
    }

  private:
    static ServiceChoice<Family> find(const PacketContext<Family>& context, std::size_t home,
                                      const ServiceRules<Family>& services) {
        const Tuple<Family>& tuple = context.parsed.tuple;
        if (const auto* place = services.ports().find(home, tuple, context.ingress_port))
            return {&services.rules()[place->rule()], &services.head(place->service()), nullptr};
        const Rule<Family>* rule = services.classifier() == nullptr
                                       ? nullptr
                                       : services.classifier()->find(tuple, context.ingress_port);
        if (rule == nullptr) return {};
        return {rule, &services.head(rule->service), nullptr};
    }

    std::array<ServiceChoice<Family>, burst> choices_;
};

}  // namespace noclash::nat
