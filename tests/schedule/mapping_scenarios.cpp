// SPDX-License-Identifier: Apache-2.0

// Programs on endpoint-independent mappings: flows of one inside endpoint come and go on several
// workers, so that its mapping is set up, joined and ended at any moment. What has to be so at each
// step: whoever sees a live flow finds its mapping live and referred to, with the flow's own inside
// and outside endpoints. In the end nothing is left.

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nat/adoption.hpp"
#include "nat/mapping/mappings.hpp"
#include "tests/schedule/failure.hpp"
#include "tests/schedule/free_records.hpp"
#include "tests/schedule/no_rules.hpp"
#include "tests/schedule/place_names.hpp"
#include "tests/schedule/run_world.hpp"
#include "tests/schedule/second_life.hpp"

namespace noclash::schedule {
namespace {

using nat::Filtering;
using Mappings = nat::Mappings<V4, Scheduled>;
using Crowded = nat::OccupancyMaps<V4, Scheduled>;
using Proposals = nat::PortAllocator<V4, Scheduled>;

constexpr unsigned workers = 3;
constexpr std::uint32_t remotes = 2;
constexpr nat::PortRange one_port{5000, 5000};
constexpr nat::PortRange two_ports{5000, 5001};

/// How the mappings of a world are.
struct Kind {
    Filtering filtering = Filtering::endpoint_independent;
    std::uint32_t quarantine_s = 0;
    nat::PortRange ports = two_ports;
};

/// From an inside endpoint to a remote one.
Key outward(std::uint32_t inside, std::uint32_t remote) {
    Key key = original(inside);
    key.protocol = nat::ip_protocol::udp;
    key.destination_port = Be16::from_host(static_cast<std::uint16_t>(80 + remote));
    return key;
}

class MappingWorld final : public Observer {
  public:
    static std::uint32_t flows() {
        collisions = Collisions::spread;
        return 16;
    }

    struct Actor {
        Actor(MappingWorld& world, unsigned number, std::uint64_t seed)
            : random(seed),
              engine(world.table, static_cast<std::uint16_t>(number), world.now_ms),
              proposals(world.crowded_),
              mappings(engine, world.crowded_, proposals, world.limits_) {
            engine.online();
        }
        [[nodiscard]] std::uint16_t id() const { return engine.id(); }
        SeededRandom random;
        FlowWorker<V4, Scheduled> engine;
        Proposals proposals;
        Mappings mappings;
    };

    /// @param kept, now  as for `World`
    explicit MappingWorld(std::uint64_t seed, const Kind& kind, Record* kept = nullptr,
                          std::uint64_t now = 0)
        : scheduler(seed),
          table(kept == nullptr ? Table(flows(), workers, workers)
                                : Table(flows(), workers, workers, kept)),
          now_ms(now),
          crowded_(table),
          kind_(kind),
          policy_({}, {.port_quarantine_s = kind.quarantine_s}, {}, identities_, nullptr) {
        SeededRandom seeds(~seed);
        for (unsigned id = 0; id < workers; ++id)
            actors_.push_back(std::make_unique<Actor>(*this, id, seeds.next()));
        scheduler.observe(*this);
    }

    RunReport run(Tracing tracing, const std::function<void(Actor&)>& program) {
        if (tracing == Tracing::on) scheduler.trace();
        run(program);
        const RunReport report{scheduler.steps(), scheduler.fingerprint(), scheduler.strategy(),
                               events};
        check_end();
        return report;
    }

    void look() override {
        const Unseen unseen;
        std::vector<const Record*> mappings;
        for (FlowId id = 1; id <= table.pool().last_id(); ++id)
            if (live(id) && nat::is_mapping(table.pool()[id]))
                mappings.push_back(&table.pool()[id]);
        for (FlowId id = 1; id <= table.pool().last_id(); ++id)
            if (live(id) && !nat::is_wildcard(table.pool()[id])) check(id, mappings);
    }
    void show(unsigned worker, std::uint64_t step, const Access& access) override {
        names_.print(worker, step, access);
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

    /// The outside endpoint goes from one inside endpoint to the other, while packets come to it.
    void change_hands(Actor& me) {
        for (std::uint32_t round = 0; round < 4; ++round) {
            if (me.id() == 0) {
                send(me, outward(round % 2, 1));
                end(me, outward(round % 2, 1));
            } else if (me.id() == 1) {
                receive(me, 0);
            }
            if (me.random.one_in(4)) rest(me);
        }
    }

    void run(const std::function<void(Actor&)>& program) {
        for (auto& actor : actors_)
            scheduler.spawn([&program, &actor] { program(*actor); });
        scheduler.run();
    }

    [[nodiscard]] Adopted adopt() {
        const nat::Adoption<V4, Scheduled> adoption(table, limits_, round(), now_ms);
        return {adoption.flows(), adoption.spare()};
    }
    void take_over(const Adopted& adopted) {
        actors_[0]->engine.stock(adopted.spare);
        for (const auto& actor : actors_)
            adopted.flows.give(actor->id(),
                               [&](FlowId id, Record&) { actor->engine.arm(id, now_ms); });
    }
    void check_free_records() {
        std::vector<FlowWorker<V4, Scheduled>*> engines;
        for (const auto& actor : actors_)
            engines.push_back(&actor->engine);
        schedule::check_free_records(table, engines);
    }
    /// What was adopted has the references that its flows and permissions hold, and its own.
    void check_references() {
        std::map<const Record*, std::uint32_t> expected;
        const auto is = [&](FlowId id, auto&& kind) { return live(id) && kind(table.pool()[id]); };
        for (FlowId id = 1; id <= table.pool().last_id(); ++id)
            if (is(id, nat::is_wildcard<Record>))
                expected[&table.pool()[id]] = nat::has_quarantine(table.pool()[id]) ? 1 : 0;
        const auto holds = [&](const Key& reply) {
            for (auto& [record, count] : expected)
                if (record->tuple(Direction::reply) == reply) ++count;
        };
        for (FlowId id = 1; id <= table.pool().last_id(); ++id) {
            if (!live(id)) continue;
            const Record& record = table.pool()[id];
            if (nat::is_mapping(record)) continue;
            if (nat::is_wildcard(record)) {
                holds(nat::mapping_of_destination(record.tuple(Direction::reply)));
                continue;
            }
            const Key from_remote = from_remote_of(record);
            holds(kind_.filtering == Filtering::address_dependent
                      ? nat::permission_of(from_remote)
                      : nat::mapping_of_destination(from_remote));
        }
        for (const auto& [record, count] : expected) {
            if (nat::references(*record).load() != count)
                fail("references: " + std::to_string(count) +
                     " hold what was adopted, not as many "
                     "as it says");
            if (count == 0) fail("references: nobody holds what was adopted");
            const bool is_used = count > (nat::has_quarantine(*record) ? 1 : 0);
            if (is_used && record->memory[nat::flow_memory::idle].load() != 0)
                fail("references: what is in use says that it is in its quarantine");
        }
    }

    /// Ends every flow, and with them every mapping, and lets every grace period end.
    void check_end() {
        Actor& any = *actors_[0];
        for (FlowId id = 1; id <= table.pool().last_id(); ++id)
            if (live(id) && !nat::is_wildcard(table.pool()[id]))
                table.release(id, any.engine.counters(), any.mappings.end().under(policy_, now_ms));
        if (kind_.quarantine_s != 0) let_quarantines_pass();
        for (FlowId id = 1; id <= table.pool().last_id(); ++id)
            if (live(id)) fail("no leak: a mapping or permission is left without flows");
        if (table.index().occupancy().entries != 0) fail("no leak: tuples are left");
        table.hurry_reclamation();
        for (int i = 0; i < 8; ++i)
            for (auto& actor : actors_) {
                actor->engine.quiescent();
                now_ms += 20'000;
                maintain(*actor);
            }
        for (FlowId id = 1; id <= table.pool().last_id(); ++id)
            if (table.pool()[id].status.load() != FlowStatus::free)
                fail("no leak: record " + std::to_string(id) + " did not come back");
    }

    Scheduler scheduler;
    Table table;
    std::uint64_t now_ms;
    Events events;

  private:
    static bool is_inward(const Record& flow) {
        return (flow.marks.load() & nat::flow_mark::destination_mapped) != 0;
    }
    static Key from_remote_of(const Record& flow) {
        return flow.tuple(is_inward(flow) ? Direction::original : Direction::reply);
    }
    [[nodiscard]] bool live(FlowId id) {
        return table.pool()[id].status.load() == FlowStatus::live;
    }

    void check(FlowId id, const std::vector<const Record*>& mappings) {
        const Record& flow = table.pool()[id];
        const bool inward = is_inward(flow);
        const Key from_remote = from_remote_of(flow);
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

    [[nodiscard]] nat::Round<V4> round() const { return {policy_, now_ms}; }

    /// A first packet from inside.
    void send(Actor& me, const Key& key) {
        Claim claim(me.engine, key);
        if (claim.error() != SetupError::none) return events.saw(Event::claim_lost);
        Mappings::References references(me.mappings);
        Key reply = key.inverse();
        const std::array<V4Address, 1> addresses{schedule::reply(0).destination};
        const Key mapping = nat::mapping_of_source(key, V4Address{}, 1);
        const nat::PortOffer<V4> offer{
            .addresses = addresses, .ports = kind_.ports, .reserved = &policy_.reserved_ports};
        SetupError held = me.mappings.hold_source(
            references, {mapping, claim.hash(mapping), offer, 0, kind_.filtering}, reply, round());
        if (held == SetupError::none) held = me.mappings.permit(references, reply, now_ms);
        if (held != SetupError::none) return not_held(held);
        if (claim.reserve(reply) != SetupError::none) return events.saw(Event::reserve_lost);
        publish(me, claim, references);
    }

    /// A packet of a remote to whatever outside endpoint there is.
    void receive(Actor& me, std::uint32_t remote) {
        Key key = outward(0, remote).inverse();
        key.destination = schedule::reply(0).destination;
        key.destination_port = Be16::from_host(
            static_cast<std::uint16_t>(kind_.ports.first + me.random.below(kind_.ports.size())));
        const Found found = me.mappings.find_destination(key);
        if (!found) return;
        const Record& mapping = me.engine.record(found.flow);
        if (mapping.status.load(std::memory_order_acquire) != FlowStatus::live)
            return events.saw(Event::found_setup);
        if (!me.mappings.admits(found.flow, key)) return events.saw(Event::gave_up);
        Key reply = key.inverse();
        reply.source = mapping.tuple(Direction::original).source;
        reply.source_port = mapping.tuple(Direction::original).source_port;
        Claim claim(me.engine, key);
        if (claim.error() != SetupError::none) return events.saw(Event::claim_lost);
        if (claim.reserve(reply) != SetupError::none) return events.saw(Event::reserve_lost);
        Mappings::References references(me.mappings);
        const SetupError held =
            me.mappings.hold_destination(references, found.flow, nat::to_destination(key, reply));
        if (held != SetupError::none) return not_held(held);
        publish(me, claim, references);
    }

    void not_held(SetupError why) {
        events.saw(why == SetupError::pending ? Event::found_ending : Event::exhausted);
    }
    void publish(Actor& me, Claim& claim, Mappings::References& references) {
        references.keep(claim.record());
        fill_in(claim.record());
        const std::uint64_t lifetime_ms = me.random.one_in(2) ? 600 : 40'000'000;
        claim.publish(to_moment(now_ms + lifetime_ms), now_ms);
        events.saw(Event::published);
    }

    void end(Actor& me, const Key& key) {
        const Found found = table.index().find(key, table.index().hash(key));
        if (!found) return;
        if (!table.release(found.flow, me.engine.counters(),
                           me.mappings.end().under(policy_, now_ms)))
            events.saw(Event::release_lost);
    }
    void rest(Actor& me) {
        me.engine.quiescent();
        now_ms += me.random.one_in(3) ? 3'700'000 : 200;
        maintain(me);
    }
    void maintain(Actor& me) {
        me.engine.maintain(now_ms, 64, me.mappings.end().under(policy_, now_ms),
                           [&](Record& record) {
                               if (!me.mappings.lives_on(record, round())) return false;
                               events.saw(Event::refreshed);
                               return true;
                           });
    }

    /// A mapping is found idle, then to have been idle for so long.
    void let_quarantines_pass() {
        for (int i = 0; i < 200; ++i) {
            now_ms += 1000 * kind_.quarantine_s / 50;
            for (auto& actor : actors_) {
                actor->engine.quiescent();
                maintain(*actor);
            }
        }
    }

    Crowded crowded_;
    nat::Limits<V4, Scheduled> limits_{table, {}, 1};
    Kind kind_;
    nat::Identities identities_{1};
    nat::Policy<V4> policy_;
    std::vector<std::unique_ptr<Actor>> actors_;
    PlaceNames names_{table};
};

/// Flows whose time is not over have to live on, and mappings in their quarantine. Of what was
/// ending, nothing has to: it may have lost its mapping.
bool stays(const Left& left, std::uint64_t now_ms) {
    if (left.status != FlowStatus::live) return false;
    if (left.tuples[0].reserved != 0) return (left.marks & nat::flow_mark::quarantine) != 0;
    return ms_between(to_moment(now_ms), left.expires) > 0;
}

auto mappings_live_on(const Kind& kind) {
    Story<MappingWorld, MappingWorld::Actor> story;
    story.first = story.later = {workers, MappingWorld::flows(), Collisions::spread};
    story.make = [kind](const Shape&, std::uint64_t seed, Record* kept, std::uint64_t now_ms) {
        return std::make_unique<MappingWorld>(seed, kind, kept, now_ms);
    };
    story.program = &MappingWorld::work;
    story.must_live_on = stays;
    story.when_adopted = [](MappingWorld& world) { world.check_references(); };
    return [story](std::uint64_t seed, Tracing tracing) {
        return run_two_lives(story, seed, tracing);
    };
}

auto mapping_runs(const Kind& kind,
                  void (MappingWorld::*program)(MappingWorld::Actor&) = &MappingWorld::work) {
    return [=](std::uint64_t seed, Tracing tracing) {
        MappingWorld world(seed, kind);
        return world.run(tracing, [&](MappingWorld::Actor& me) { (world.*program)(me); });
    };
}

}  // namespace

std::vector<Scenario> mapping_scenarios() {
    using enum Event;
    return {
        {"mappings",
         "flows of one inside endpoint come and go under its mapping",
         mapping_runs({}),
         {published, claim_lost, found_ending, refreshed},
         1},
        {"permissions",
         "the same, with address-dependent filtering",
         mapping_runs({Filtering::address_dependent}),
         {published, claim_lost, found_ending, refreshed, gave_up},
         1},
        {"endpoint_changes_hands",
         "packets come to an outside endpoint that goes from one inside endpoint to another",
         mapping_runs({Filtering::address_dependent, 0, one_port}, &MappingWorld::change_hands),
         {published, found_ending, exhausted},
         1},
        {"quarantine",
         "as mappings, and the mapping stays a while after its last flow",
         mapping_runs({Filtering::endpoint_independent, 120}),
         {published, claim_lost, found_ending, refreshed},
         1},
        {"adopted_mappings",
         "as mappings, killed at any step, and another world goes on",
         mappings_live_on({}),
         {published, found_ending, killed, adopted, rolled_back, brought_back, killed_again},
         1},
        {"adopted_permissions",
         "the same, with address-dependent filtering",
         mappings_live_on({Filtering::address_dependent}),
         {published, found_ending, killed, adopted, rolled_back, brought_back, killed_again},
         1},
        {"adopted_quarantine",
         "the same, and the mapping stays a while after its last flow",
         mappings_live_on({Filtering::endpoint_independent, 120}),
         {published, found_ending, killed, adopted, rolled_back, brought_back, killed_again},
         1},
    };
}

}  // namespace noclash::schedule
