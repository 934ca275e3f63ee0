// SPDX-License-Identifier: Apache-2.0

// Programs on endpoint-independent mappings: flows of one inside endpoint come and go on several
// workers, so that its mapping is set up, joined and ended at any moment. What has to be so at each
// step: whoever sees a live flow finds its mapping live and referred to, with the flow's own inside
// and outside endpoints. In the end nothing is left.

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "nat/mapping/mappings.hpp"
#include "tests/schedule/failure.hpp"
#include "tests/schedule/place_names.hpp"
#include "tests/schedule/run_world.hpp"

namespace noclash::schedule {
namespace {

using nat::Filtering;
using Mappings = nat::Mappings<V4, Scheduled>;
using Crowded = nat::OccupancyMaps<V4, Scheduled>;
using Proposals = nat::PortAllocator<V4, Scheduled>;

constexpr unsigned workers = 3;
constexpr std::uint32_t remotes = 2;
constexpr nat::PortRange two_ports{5000, 5001};

/// From an inside endpoint to a remote one.
Key outward(std::uint32_t inside, std::uint32_t remote) {
    Key key = original(inside);
    key.protocol = nat::ip_protocol::udp;
    key.destination_port = Be16::from_host(static_cast<std::uint16_t>(80 + remote));
    return key;
}

class MappingWorld final : public Observer {
  public:
    MappingWorld(std::uint64_t seed, Filtering filtering, std::uint32_t quarantine_s)
        : scheduler(seed),
          table_(flows(), workers, workers),
          crowded_(table_),
          filtering_(filtering),
          quarantine_s_(quarantine_s),
          policy_({}, {.port_quarantine_s = quarantine_s}, {}, identities_, nullptr) {
        SeededRandom seeds(~seed);
        for (unsigned id = 0; id < workers; ++id)
            actors_.push_back(std::make_unique<Actor>(*this, id, seeds.next()));
        scheduler.observe(*this);
    }

    RunReport run(Tracing tracing) {
        if (tracing == Tracing::on) scheduler.trace();
        for (auto& actor : actors_)
            scheduler.spawn([this, &actor] { work(*actor); });
        scheduler.run();
        const RunReport report{scheduler.steps(), scheduler.fingerprint(), scheduler.strategy(),
                               events_};
        check_end();
        return report;
    }

    void look() override {
        const Unseen unseen;
        std::vector<const Record*> mappings;
        for (FlowId id = 1; id <= table_.pool().last_id(); ++id)
            if (live(id) && nat::is_mapping(table_.pool()[id]))
                mappings.push_back(&table_.pool()[id]);
        for (FlowId id = 1; id <= table_.pool().last_id(); ++id)
            if (live(id) && !nat::is_wildcard(table_.pool()[id])) check(id, mappings);
    }
    void show(unsigned worker, std::uint64_t step, const Access& access) override {
        names_.print(worker, step, access);
    }

    Scheduler scheduler;

  private:
    struct Actor {
        Actor(MappingWorld& world, unsigned number, std::uint64_t seed)
            : random(seed),
              engine(world.table_, static_cast<std::uint16_t>(number), 0),
              proposals(world.crowded_),
              mappings(engine, world.crowded_, proposals, world.limits_) {
            engine.online();
        }
        SeededRandom random;
        FlowWorker<V4, Scheduled> engine;
        Proposals proposals;
        Mappings mappings;
    };

    static std::uint32_t flows() {
        collisions = Collisions::spread;
        return 16;
    }
    [[nodiscard]] bool live(FlowId id) {
        return table_.pool()[id].status.load() == FlowStatus::live;
    }

    void check(FlowId id, const std::vector<const Record*>& mappings) {
        const Record& flow = table_.pool()[id];
        const bool inward = (flow.marks.load() & nat::flow_mark::destination_mapped) != 0;
        const Key from_remote =
            inward ? flow.tuple(Direction::original) : flow.tuple(Direction::reply);
        const Key to_remote =
            inward ? flow.tuple(Direction::reply) : flow.tuple(Direction::original);
        const Key outside = nat::mapping_of_destination(from_remote);
        const auto mapping = std::ranges::find_if(
            mappings, [&](const Record* m) { return m->tuple(Direction::reply) == outside; });
        if (mapping == mappings.end())
            fail("mapping outlives flows: flow " + std::to_string(id) + " is live without one");
        if (nat::references(**mapping).load() == 0)
            fail("mapping outlives flows: the one of flow " + std::to_string(id) +
                 " has no reference");
        if ((*mapping)->tuple(Direction::original).source != to_remote.source)
            fail("one mapping: flow " + std::to_string(id) + " uses another endpoint's");
    }

    void work(Actor& me) {
        for (int round = 0; round < 3; ++round) {
            const std::uint32_t inside = me.random.below(4) == 0 ? 1 : 0;
            const std::uint32_t remote = me.random.below(remotes);
            if (me.random.one_in(3))
                receive(me, remote);
            else
                send(me, outward(inside, remote));
            if (me.random.one_in(2)) end(me, outward(inside, me.random.below(remotes)));
            if (!me.random.one_in(3)) rest(me);
        }
    }

    [[nodiscard]] nat::Round<V4> round() const { return {policy_, now_ms_}; }

    /// A first packet from inside.
    void send(Actor& me, const Key& key) {
        Claim claim(me.engine, key);
        if (claim.error() != SetupError::none) return events_.saw(Event::claim_lost);
        Mappings::References references(me.mappings);
        Key reply = key.inverse();
        const std::array<V4Address, 1> addresses{schedule::reply(0).destination};
        const Key mapping = nat::mapping_of_source(key, V4Address{}, 1);
        const nat::PortOffer<V4> offer{
            .addresses = addresses, .ports = two_ports, .reserved = &policy_.reserved_ports};
        SetupError held = me.mappings.hold_source(
            references, {mapping, claim.hash(mapping), offer, 0, filtering_}, reply, round());
        if (held == SetupError::none) held = me.mappings.permit(references, reply, now_ms_);
        if (held != SetupError::none) return not_held(held);
        if (claim.reserve(reply) != SetupError::none) return events_.saw(Event::reserve_lost);
        publish(me, claim, references);
    }

    /// A packet of a remote to whatever outside endpoint there is.
    void receive(Actor& me, std::uint32_t remote) {
        Key key = outward(0, remote).inverse();
        key.destination = schedule::reply(0).destination;
        key.destination_port = Be16::from_host(
            static_cast<std::uint16_t>(two_ports.first + me.random.below(two_ports.size())));
        const Found found = me.mappings.find_destination(key);
        if (!found) return;
        const Record& mapping = me.engine.record(found.flow);
        if (mapping.status.load(std::memory_order_acquire) != FlowStatus::live)
            return events_.saw(Event::found_setup);
        if (!me.mappings.admits(found.flow, key)) return events_.saw(Event::gave_up);
        Key reply = key.inverse();
        reply.source = mapping.tuple(Direction::original).source;
        reply.source_port = mapping.tuple(Direction::original).source_port;
        Claim claim(me.engine, key);
        if (claim.error() != SetupError::none) return events_.saw(Event::claim_lost);
        if (claim.reserve(reply) != SetupError::none) return events_.saw(Event::reserve_lost);
        Mappings::References references(me.mappings);
        const SetupError held =
            me.mappings.hold_destination(references, found.flow, nat::to_destination(key, reply));
        if (held != SetupError::none) return not_held(held);
        publish(me, claim, references);
    }

    void not_held(SetupError why) {
        events_.saw(why == SetupError::pending ? Event::found_ending : Event::exhausted);
    }
    void publish(Actor& me, Claim& claim, Mappings::References& references) {
        references.keep(claim.record());
        const std::uint64_t lifetime_ms = me.random.one_in(2) ? 600 : 40'000'000;
        claim.publish(to_moment(now_ms_ + lifetime_ms), now_ms_);
        events_.saw(Event::published);
    }

    void end(Actor& me, const Key& key) {
        const Found found = table_.index().find(key, table_.index().hash(key));
        if (!found) return;
        if (!table_.release(found.flow, me.engine.counters(), me.mappings.end().under(policy_)))
            events_.saw(Event::release_lost);
    }
    void rest(Actor& me) {
        me.engine.quiescent();
        now_ms_ += me.random.one_in(3) ? 3'700'000 : 200;
        maintain(me);
    }
    void maintain(Actor& me) {
        me.engine.maintain(now_ms_, 64, me.mappings.end().under(policy_), [&](Record& record) {
            if (!me.mappings.lives_on(record, round())) return false;
            events_.saw(Event::refreshed);
            return true;
        });
    }

    /// Ends every flow, and with them every mapping, and lets every grace period end.
    void check_end() {
        Actor& any = *actors_[0];
        for (FlowId id = 1; id <= table_.pool().last_id(); ++id)
            if (live(id) && !nat::is_wildcard(table_.pool()[id]))
                table_.release(id, any.engine.counters(), any.mappings.end().under(policy_));
        if (quarantine_s_ != 0) let_quarantines_pass();
        for (FlowId id = 1; id <= table_.pool().last_id(); ++id)
            if (live(id)) fail("no leak: a mapping or permission is left without flows");
        if (table_.index().occupancy().entries != 0) fail("no leak: tuples are left");
        table_.hurry_reclamation();
        for (int i = 0; i < 8; ++i)
            for (auto& actor : actors_) {
                actor->engine.quiescent();
                now_ms_ += 20'000;
                maintain(*actor);
            }
        for (FlowId id = 1; id <= table_.pool().last_id(); ++id)
            if (table_.pool()[id].status.load() != FlowStatus::free)
                fail("no leak: record " + std::to_string(id) + " did not come back");
    }

    /// A mapping is found idle, then to have been idle for so long.
    void let_quarantines_pass() {
        for (int i = 0; i < 200; ++i) {
            now_ms_ += 1000 * quarantine_s_ / 50;
            for (auto& actor : actors_) {
                actor->engine.quiescent();
                maintain(*actor);
            }
        }
    }

    Table table_;
    Crowded crowded_;
    nat::Limits<V4, Scheduled> limits_{table_, {}, 1};
    Filtering filtering_;
    std::uint32_t quarantine_s_;
    nat::Identities identities_{1};
    nat::Policy<V4> policy_;
    std::vector<std::unique_ptr<Actor>> actors_;
    std::uint64_t now_ms_ = 0;
    Events events_;
    PlaceNames names_{table_};
};

auto mapping_runs(Filtering filtering, std::uint32_t quarantine_s = 0) {
    return [=](std::uint64_t seed, Tracing tracing) {
        return MappingWorld(seed, filtering, quarantine_s).run(tracing);
    };
}

}  // namespace

std::vector<Scenario> mapping_scenarios() {
    using enum Event;
    return {
        {"mappings",
         "flows of one inside endpoint come and go under its mapping",
         mapping_runs(Filtering::endpoint_independent),
         {published, claim_lost, found_ending, refreshed},
         1},
        {"permissions",
         "the same, with address-dependent filtering",
         mapping_runs(Filtering::address_dependent),
         {published, claim_lost, found_ending, refreshed, gave_up},
         1},
        {"quarantine",
         "as mappings, and the mapping stays a while after its last flow",
         mapping_runs(Filtering::endpoint_independent, 120),
         {published, claim_lost, found_ending, refreshed},
         1},
    };
}

}  // namespace noclash::schedule
