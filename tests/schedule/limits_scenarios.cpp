// SPDX-License-Identifier: Apache-2.0

// Programs on the counting of flows: workers at a limit that set up, end, establish and reopen
// connections of few sources. What is checked is that no source ever holds more than it may, that
// all who hold a source hold one entry, and that nothing is counted any more when all is over.

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nat/adoption.hpp"
#include "nat/limits/limits.hpp"
#include "tests/schedule/failure.hpp"
#include "tests/schedule/no_rules.hpp"
#include "tests/schedule/run_world.hpp"
#include "tests/schedule/second_life.hpp"

namespace noclash::schedule {
namespace {

constexpr Shape two_sources{3, 16, Collisions::spread};
constexpr std::uint32_t most_flows = 2;
constexpr std::uint32_t numbers = 8;

/// Connections of two sources in turn.
Key numbered(std::uint32_t number) {
    Key key = original(number % 2);
    key.source_port = Be16::from_host(static_cast<std::uint16_t>(40'000 + number));
    return key;
}

class LimitsWorld {
  public:
    using Limits = nat::Limits<V4, Scheduled>;

    explicit LimitsWorld(std::uint64_t seed, Record* kept = nullptr, std::uint64_t now_ms = 0)
        : engine(two_sources, seed, kept, now_ms) {
        for (std::uint32_t i = 0; i < numbers; ++i) {
            engine.watch(numbered(i));
            engine.watch(reply(i));
        }
        engine.when_gone = [this](Record& record) {
            --live_[record.tuple(Direction::original).source.value.host()];
            limits.ended(policy(), record);
        };
    }

    void open(Actor& me, std::uint32_t number) {
        const Operation operation(me, "set-up within limits", 1200);
        const Key key = numbered(number);
        Claim claim(me.engine(), key);
        if (!me.claimed(claim, key, operation.since())) return;
        // The rule's number is what the flow's record says when it is published.
        const nat::Rule<V4>& rule = policy().rules[1000 + claim.id()];
        nat::Admission<V4, Scheduled> admission(limits, policy(), key, rule);
        const nat::Admitted admitted = admission.enter(me.id());
        if (admitted == nat::Admitted::over_flows) engine.events.saw(Event::over_limit);
        if (admitted != nat::Admitted::yes) return me.give_up(claim);
        if (++live_[key.source.value.host()] > most_flows) fail("limits: a flow too many");
        const std::uint64_t since = engine.scheduler.steps();
        if (me.random.one_in(4) || claim.reserve(reply(number)) != SetupError::none) {
            --live_[key.source.value.host()];
            return me.give_up(claim);
        }
        engine.truth.reserved(claim.id(), reply(number), since);
        claim.record().rule = rule.id;
        fill_in(claim.record());
        claim.record().protocol_state.store(static_cast<std::uint8_t>(nat::TcpState::syn_sent),
                                            std::memory_order_relaxed);
        admission.commit(claim.record());
        me.publish(claim);
    }

    /// A packet of a flow that was found: it is established, or begins anew.
    void touch(Actor& me, std::uint32_t number) {
        const Found found = me.find(numbered(number));
        if (!found) return;
        Record& flow = me.engine().record(found.flow);
        if (flow.status.load(std::memory_order_acquire) != FlowStatus::live) return;
        const Operation operation(me, "half-open, or not", 1200);
        if (me.random.one_in(2)) {
            set_state(flow, nat::TcpState::established);
            limits.opened(flow);
        } else {
            set_state(flow, nat::TcpState::syn_sent);
            static_cast<void>(limits.reopen(policy(), flow, me.id()));
        }
    }

    /// The flow is established, and its worker has not come to say so.
    void touch_and_stall(std::uint32_t number) {
        const Unseen unseen;
        const Key key = numbered(number);
        const Found found = engine.table.index().find(key, engine.table.index().hash(key));
        if (found) set_state(engine.table.pool()[found.flow], nat::TcpState::established);
    }

    [[nodiscard]] Adopted adopt() {
        const nat::Adoption<V4, Scheduled> adoption(engine.table, limits, {policy(), engine.now_ms},
                                                    engine.now_ms);
        return {adoption.flows(), adoption.spare()};
    }
    /// What is counted are the flows that live.
    void check_counts() {
        std::map<std::uint32_t, std::array<std::uint32_t, nat::quotas>> expected;
        for (FlowId id = 1; id <= engine.table.pool().last_id(); ++id) {
            const Record& flow = engine.table.pool()[id];
            if (flow.status.load() != FlowStatus::live) continue;
            auto& counts = expected[flow.tuple(Direction::original).source.value.host()];
            ++counts[static_cast<std::size_t>(nat::Quota::flows)];
            ++counts[static_cast<std::size_t>(nat::Quota::tcp_ports)];
            if (nat::is_half_open(flow)) ++counts[static_cast<std::size_t>(nat::Quota::half_open)];
            ++live_[flow.tuple(Direction::original).source.value.host()];
        }
        limits.sources()->for_each([&](const auto& source) {
            if (expected[source.address.value.host()] != source.used)
                fail("limits: the counts are not those of the flows that were adopted");
            expected.erase(source.address.value.host());
        });
        if (!expected.empty()) fail("limits: flows that were adopted are not counted");
    }

    void check_empty() {
        for (FlowId id = 1; id <= engine.table.pool().last_id(); ++id)
            if (engine.table.pool()[id].status.load() == FlowStatus::live)
                engine.actor(0).release(id);
        limits.sources()->for_each([](const auto& source) {
            fail("limits: " + to_string<V4>(source.address) + " is left with " +
                 std::to_string(source.used[0]) + " flows");
        });
        for (std::uint32_t source = 0; source < 2; ++source) {
            const auto held = limits_table().hold(numbered(source).source, 0, 0);
            for (std::size_t quota = 0; quota < nat::quotas; ++quota)
                if (limits_table().used(held.slot, static_cast<nat::Quota>(quota)) != 0)
                    fail("limits: something is still counted");
            limits_table().let_go(held.slot);
        }
    }

    World engine;
    Limits limits{engine.table, config(), rules};

  private:
    static void set_state(Record& flow, nat::TcpState state) {
        const Unseen unseen;
        flow.protocol_state.store(static_cast<std::uint8_t>(state));
    }
    Limits::Sources& limits_table() {
        return const_cast<Limits::Sources&>(*limits.sources());  // NOLINT: the test's own
    }
    static const nat::LimitsConfig<V4>& config() {
        static const nat::LimitsConfig<V4> limits = [] {
            nat::LimitsConfig<V4> most;
            most.most[static_cast<std::size_t>(nat::Quota::flows)] = most_flows;
            most.most[static_cast<std::size_t>(nat::Quota::half_open)] = 100;
            most.sources = 1;
            return most;
        }();
        return limits;
    }
    static constexpr std::size_t rules = 2500;

    /// Each rule has its place in the list for its number.
    static const nat::Policy<V4>& policy() {
        // With a key: one that is drawn in the first run alone would change its numbers.
        static nat::Identities identities(nat::IdentityTable{{}, {}, {}, {1, 2}});
        static const nat::Policy<V4> policy(
            [] {
                nat::PolicyConfig<V4> config;
                for (std::size_t i = 0; i < rules; ++i) {
                    nat::Rule<V4>& rule = config.rules.emplace_back();
                    rule.name = std::to_string(i);
                    rule.action = nat::Action::snat;
                    rule.source_nat = nat::SourceNat::pool;
                }
                return config;
            }(),
            {}, config(), identities, nullptr);
        return policy;
    }

    std::map<std::uint32_t, std::uint32_t> live_;  ///< by source
};

void at_the_limit(LimitsWorld& world, Actor& me) {
    for (int round = 0; round < 3; ++round) {
        const std::uint32_t number = me.random.below(numbers);
        world.open(me, number);
        if (me.random.one_in(2)) world.touch(me, number);
        if (me.random.one_in(3)) me.find_and_release(numbered(me.random.below(numbers)));
        if (me.random.one_in(3)) me.rest();
    }
}

/// One connection, whose establishment, new opening and end meet.
void half_open_ends(LimitsWorld& world, Actor& me) {
    for (int round = 0; round < 6; ++round) {
        if (me.id() == 0) world.open(me, 0);
        world.touch(me, 0);
        if (me.id() == 1 && me.random.one_in(2)) me.find_and_release(numbered(0));
    }
}

/// Nothing but the table of sources: everybody wants the same two, again and again.
class Holders {
  public:
    using Sources = nat::SourceTable<V4, Scheduled>;

    explicit Holders(World& world) : sources_(world.table, 1) {}

    void work(Actor& me) {
        for (int round = 0; round < 3; ++round) {
            const std::uint32_t which = me.random.below(2);
            const Operation operation(me, "to hold a source", 1200);
            const auto held = sources_.hold(original(which).source, 0, me.id());
            if (held.outcome != Sources::Outcome::held) {
                me.world().events.saw(Event::busy);
                continue;
            }
            auto& holders = holders_[which];
            if (!holders.empty() && holders.begin()->second != held.slot)
                fail("limits: a source has two entries");
            holders[me.id()] = held.slot;
            const auto found = sources_.find(original(which).source, 0);
            if (found != held.slot) fail("limits: a source that is held is not found");
            holders.erase(me.id());
            sources_.let_go(held.slot);
        }
    }
    void check_empty() const {
        sources_.for_each([](const auto&) { fail("limits: a source is left"); });
    }

  private:
    Sources sources_;
    std::array<std::map<unsigned, Sources::Slot>, 2> holders_;
};

using Program = void (*)(LimitsWorld&, Actor&);

auto limits_runs(Program program) {
    return [program](std::uint64_t seed, Tracing tracing) {
        LimitsWorld world(seed);
        return run_world(
            world.engine, tracing, [](World&) {}, [&](Actor& me) { program(world, me); },
            [&](World&) { world.check_empty(); });
    };
}

/// At the limit, with workers that stall between what they see and what they count.
void stall_at_the_limit(LimitsWorld& world, Actor& me) {
    for (int round = 0; round < 3; ++round) {
        const std::uint32_t number = me.random.below(numbers);
        world.open(me, number);
        if (me.random.one_in(2)) world.touch(me, number);
        if (me.random.one_in(2)) world.touch_and_stall(number);
        if (me.random.one_in(3)) me.find_and_release(numbered(me.random.below(numbers)));
        if (me.random.one_in(3)) me.rest();
    }
}

RunReport limits_adopted(std::uint64_t seed, Tracing tracing) {
    Story<LimitsWorld> story;
    story.first = story.later = two_sources;
    story.make = [](const Shape&, std::uint64_t of_world, Record* kept, std::uint64_t now_ms) {
        return std::make_unique<LimitsWorld>(of_world, kept, now_ms);
    };
    story.program = stall_at_the_limit;
    story.must_live_on = [](const Left& left, std::uint64_t now_ms) {
        return ms_between(to_moment(now_ms), left.expires) > 0;
    };
    story.when_adopted = [](LimitsWorld& world) { world.check_counts(); };
    story.at_end = [](LimitsWorld& world) { world.check_empty(); };
    return run_two_lives(story, seed, tracing);
}

RunReport sources_held(std::uint64_t seed, Tracing tracing) {
    World world(two_sources, seed);
    Holders holders(world);
    return run_world(
        world, tracing, [](World&) {}, [&](Actor& me) { holders.work(me); },
        [&](World&) { holders.check_empty(); });
}

}  // namespace

std::vector<Scenario> limits_scenarios() {
    using enum Event;
    return {
        {"limit_reached",
         "more connections than two sources may have",
         limits_runs(at_the_limit),
         {published, over_limit, gave_up},
         1},
        {"half_open_ends",
         "a connection is established, ended and opened anew at once",
         limits_runs(half_open_ends),
         {published, release_lost},
         8},  // that two take off one mark at once is rare: of 1,000 runs, one
        {"adopted_counts",
         "as limit_reached, killed at any step, and another world goes on",
         limits_adopted,
         {published, over_limit, gave_up, killed, adopted, rolled_back, killed_again},
         1},
        {"sources_held", "few sources that come and go", sources_held, {}, 1},
    };
}

}  // namespace noclash::schedule
