// SPDX-License-Identifier: Apache-2.0

// Programs on the choice of ports: a range so small that the last port is what everybody wants.

#include <array>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "nat/conntrack/conntrack.hpp"
#include "nat/reuse/time_wait_reuse.hpp"
#include "tests/schedule/failure.hpp"
#include "tests/schedule/nat_world.hpp"
#include "tests/schedule/run_world.hpp"
#include "tests/schedule/second_life.hpp"

namespace noclash::schedule {
namespace {

constexpr Shape spread{3, 16, Collisions::spread};
constexpr nat::PortRange three_ports{5000, 5002};

/// @param prepare(world), program(world, actor)
template <class Prepare, class Program>
auto nat_runs(nat::PortRange ports, Prepare prepare, Program program) {
    return [=](std::uint64_t seed, Tracing tracing) {
        NatWorld world(spread, seed, ports);
        const auto prepared = [&](World&) { prepare(world); };
        const auto work = [&](Actor& me) { program(world, me); };
        const auto at_end = [&](World&) { world.check_complete(); };
        return run_world(world.engine, tracing, prepared, work, at_end);
    };
}

void watch_originals(NatWorld& world) {
    for (std::uint32_t i = 0; i < 8; ++i)
        world.engine.watch(original(i));
}

/// All ports are taken, and the destination has its map.
void crowded(NatWorld& world) {
    watch_originals(world);
    for (std::uint32_t i = 0; i < 3; ++i)
        world.open(world.engine.actor(i % 3), i);
    if (world.open(world.engine.actor(0), 3) != SetupError::exhausted)
        fail("exhausted means exhausted: a fourth flow got one of three ports");
}

/// More connections than ports, and no map yet.
void first_come(NatWorld& world, Actor& me) {
    for (std::uint32_t i = 0; i < 2; ++i) {
        const auto proposed = world.open(me, me.id() * 2 + i);
        if (proposed == SetupError::none && me.random.one_in(4)) world.release(me, me.id() * 2 + i);
    }
}

/// Flows end while others look for a port.
void port_freed(NatWorld& world, Actor& me) {
    for (std::uint32_t round = 0; round < 3; ++round) {
        if (me.id() == 0)
            world.release(me, round);
        else
            world.open(me, 2 + me.id() * 2 + me.random.below(2));
        if (me.random.one_in(4)) world.rest(me);
    }
}

/// More destinations than their places hold maps, each with a range of its own: whoever has a map
/// in hand sees it change for no other destination before he is quiescent.
class MapHolders final : public Observer {
  public:
    using Map = NatWorld::Crowded::Map;

    explicit MapHolders(World& world) : world_(world), crowded_(world.table) {
        world.scheduler.observe(*this);
    }
    void prepare() {
        for (std::uint32_t i = 0; i < NatWorld::Crowded::window; ++i)
            acquire(world_.actor(0), i);
        lists_ = {};
    }
    void work(Actor& me) {
        for (int i = 0; i < 4; ++i) {
            acquire(me, me.random.below(NatWorld::Crowded::window + 3));
            if (me.random.one_in(2)) continue;
            lists_[me.id()].clear();
            me.rest();
        }
    }
    void look() override {
        for (const auto& list : lists_)
            for (const auto& [map, range] : list)
                if (map->ports() != nat::PortSet(range))
                    fail("reuse: a map was taken back from one who used it");
    }
    void show(unsigned worker, std::uint64_t step, const Access& access) override {
        world_.show(worker, step, access);
    }

  private:
    void acquire(Actor& me, std::uint32_t number) {
        const Operation operation(me, "to get a map", 5000);
        Key key = reply(0);
        key.source_port = Be16::from_host(static_cast<std::uint16_t>(number));
        const auto first = static_cast<std::uint16_t>(64 * (number + 1));
        const nat::PortRange range{first, static_cast<std::uint16_t>(first + 9)};
        now_ += NatWorld::Crowded::idle_ms + 1;
        const Map* map = crowded_.acquire(key, range, now_, [](Map&) {});
        if (map == nullptr) {
            world_.events.saw(Event::map_gone);
            return;
        }
        lists_[me.id()].emplace_back(map, range);
        look();
    }

    World& world_;
    NatWorld::Crowded crowded_;
    Moment now_ = 0;
    std::array<std::vector<std::pair<const Map*, nat::PortRange>>, Scheduler::most_workers> lists_;
};

/// One finished connection holds the only port. Its client opens it anew while others would have
/// its tuple: either it goes on, or one of them succeeds it, never both.
class OnePort {
  public:
    explicit OnePort(NatWorld& world) : world_(world) {}

    void prepare() {
        watch_originals(world_);
        world_.open(world_.engine.actor(0), 0);
        const Unseen unseen;
        Record& flow = record_of(original(0));
        flow.protocol_state.store(static_cast<std::uint8_t>(nat::TcpState::time_wait));
        flow.memory[nat::flow_memory::timestamp_sent].store(sent);
    }
    void work(Actor& me) {
        if (me.id() == 0)
            come_back(me);
        else
            world_.succeed(me, me.id(), {{}, sent + 1});
        if (came_back_ && world_.engine.events[Event::succeeded] > 0)
            fail("one owner: a connection was opened anew and its tuple given away");
    }

  private:
    static constexpr std::uint32_t sent = 1000;

    Record& record_of(const Key& key) {
        auto& table = world_.engine.table;
        return table.pool()[table.index().find(key, table.index().hash(key)).flow];
    }
    /// As Pipeline::forward does.
    void come_back(Actor& me) {
        const Found found = me.find(original(0));
        if (!found) return;
        Record& flow = me.engine().record(found.flow);
        if (flow.status.load(std::memory_order_acquire) != FlowStatus::live) return;
        std::array<std::uint8_t, 40> bytes{};
        bytes[32] = 5 << 4;  // the length of the TCP header, in words
        bytes[33] = nat::tcp_flag::syn;
        nat::Parsed<V4> syn{};
        syn.l4_offset = 20;
        syn.length = bytes.size();
        syn.kind = nat::PacketKind::tcp;
        syn.tcp_flags = nat::tcp_flag::syn;
        if (nat::track_tcp(flow, Direction::original, {bytes.data(), bytes.size()}, syn,
                           nat::TcpWindow::off)
                .state != nat::TcpState::syn_sent)
            fail("the state of a finished connection refuses a SYN");
        if (flow.status.load(std::memory_order_seq_cst) != FlowStatus::live) return;
        came_back_ = true;
        me.world().events.saw(Event::client_came_back);
    }

    NatWorld& world_;
    bool came_back_ = false;
};

/// Flows that are not over, by what they say of themselves.
bool has_time_left(const Left& left, std::uint64_t now_ms) {
    const bool over = left.status == FlowStatus::ending &&
                      nat::TcpProgress(left.protocol_state).state() == nat::TcpState::time_wait;
    return !over && ms_between(to_moment(now_ms), left.expires) > 0;
}

auto nat_lives_on(nat::PortRange ports, std::function<void(NatWorld&)> prepare,
                  std::function<void(NatWorld&, Actor&)> program) {
    Story<NatWorld> story;
    story.first = story.later = spread;
    story.make = [ports](const Shape& shape, std::uint64_t seed, Record* kept,
                         std::uint64_t now_ms) {
        return std::make_unique<NatWorld>(shape, seed, ports, kept, now_ms);
    };
    story.watch = watch_originals;
    story.prepare = std::move(prepare);
    story.program = std::move(program);
    story.must_live_on = has_time_left;
    story.at_end = [](NatWorld& world) { world.check_complete(); };
    return [story](std::uint64_t seed, Tracing tracing) {
        return run_two_lives(story, seed, tracing);
    };
}

/// The flow of an original tuple is finished, having said `sent` last; now, or it is nobody's.
void finish(NatWorld& world, std::uint32_t number, std::uint32_t sent) {
    const Unseen unseen;
    auto& table = world.engine.table;
    const Found found = table.index().find(original(number), table.index().hash(original(number)));
    if (!found || table.pool()[found.flow].status.load() != FlowStatus::live) return;
    Record& flow = table.pool()[found.flow];
    flow.protocol_state.store(static_cast<std::uint8_t>(nat::TcpState::time_wait));
    flow.memory[nat::flow_memory::timestamp_sent].store(sent);
}

/// The one port goes from finished flow to finished flow.
void take_turns(NatWorld& world, Actor& me) {
    for (std::uint32_t round = 0; round < 2; ++round) {
        const std::uint32_t number = 1 + me.id() * 2 + round;
        const std::uint32_t now = 1000 + number;
        if (world.succeed(me, number, {{}, now}) || world.open(me, number) == SetupError::none)
            if (!me.random.one_in(3)) finish(world, number, now);
        if (me.random.one_in(4)) world.release(me, number);
        if (me.random.one_in(2)) world.rest(me);
    }
}

RunReport client_comes_back(std::uint64_t seed, Tracing tracing) {
    NatWorld world(spread, seed, {5000, 5000});
    OnePort port(world);
    return run_world(
        world.engine, tracing, [&](World&) { port.prepare(); }, [&](Actor& me) { port.work(me); },
        [](World&) {});
}

RunReport maps_in_use(std::uint64_t seed, Tracing tracing) {
    World world({3, 2, Collisions::equal}, seed);
    MapHolders holders(world);
    return run_world(
        world, tracing, [&](World&) { holders.prepare(); }, [&](Actor& me) { holders.work(me); },
        [](World&) {});
}

}  // namespace

std::vector<Scenario> nat_scenarios() {
    using enum Event;
    return {
        {"ports_first_come",
         "more connections than ports",
         nat_runs(three_ports, watch_originals, first_come),
         {published, exhausted, gave_up},
         1},
        {"ports_freed",
         "flows end while others look for a port",
         nat_runs(three_ports, crowded, port_freed),
         {published, exhausted, gave_up},
         1},
        {"client_comes_back",
         "a finished connection is opened anew while its tuple is given away",
         client_comes_back,
         {client_came_back, succeeded, gave_up},
         1},
        {"adopted_ports",
         "as ports_freed, killed at any step, and another world goes on",
         nat_lives_on(
             three_ports,
             [](NatWorld& world) {
                 for (std::uint32_t i = 0; i < 3; ++i)
                     world.open(world.engine.actor(i), i);
             },
             port_freed),
         {published, exhausted, killed, adopted, rolled_back, brought_back, killed_again},
         1},
        {"adopted_port_reuse",
         "the same, of one port that goes from finished flow to flow",
         nat_lives_on(
             {5000, 5000},
             [](NatWorld& world) {
                 world.open(world.engine.actor(0), 0);
                 finish(world, 0, 1000);
             },
             take_turns),
         {published, succeeded, killed, adopted, rolled_back, killed_again},
         1},
        {"maps_in_use", "more destinations than maps", maps_in_use, {map_gone}, 1},
    };
}

}  // namespace noclash::schedule
