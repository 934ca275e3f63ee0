// SPDX-License-Identifier: Apache-2.0
#include "tests/schedule/world.hpp"

#include <string>
#include <utility>

#include "tests/schedule/failure.hpp"

namespace noclash::schedule {
namespace {

Key tuple_of(std::uint32_t source, std::uint16_t source_port, std::uint32_t destination,
             std::uint16_t destination_port, std::uint16_t zone) {
    return {V4Address::from_host(source),
            V4Address::from_host(destination),
            Be16::from_host(source_port),
            Be16::from_host(destination_port),
            zone,
            6,
            0};
}

/// Something of a flow's own, to be recognized by.
std::uint16_t rule_of(FlowId id) {
    return static_cast<std::uint16_t>(1000 + id);
}

/// The hash of a table is chosen before the table is made.
std::uint32_t flows_of(const Shape& shape) {
    collisions = shape.collisions;
    return shape.flows;
}

}  // namespace

Key original(std::uint32_t number, std::uint16_t zone) {
    return tuple_of(0x0a000000 + number, 40000, 0xc0000201, 80, zone);
}
Key reply(std::uint32_t number, std::uint16_t zone) {
    return tuple_of(0xc0000201, 80, 0xcb007101, static_cast<std::uint16_t>(2000 + number), zone);
}

Operation::Operation(Actor& actor, const char* what, std::uint64_t most_steps)
    : scheduler_(actor.world_.scheduler),
      worker_(scheduler_.running()),
      what_(what),
      most_steps_(most_steps),
      since_(scheduler_.steps()) {
    if (worker_ == nobody) return;
    own_before_ = scheduler_.steps_of(worker_);
    writes_before_ = scheduler_.writes_beside(worker_);
}

Operation::~Operation() {
    if (worker_ == nobody) return;
    constexpr std::uint64_t steps_for_a_write = 60;  // another scan of the bucket
    const std::uint64_t own = scheduler_.steps_of(worker_) - own_before_;
    const std::uint64_t writes = scheduler_.writes_beside(worker_) - writes_before_;
    if (own > most_steps_ + writes * steps_for_a_write)
        fail("no worker waits: " + std::string(what_) + " took " + std::to_string(own) +
             " steps of its own while others wrote " + std::to_string(writes) + " times");
}

Actor::Actor(World& world, std::uint16_t id, std::uint64_t seed)
    : random(seed), world_(world), engine_(world.table, id, world.now_ms) {}

bool Actor::claimed(const Claim& claim, const Key& key, std::uint64_t since) {
    switch (claim.error()) {
        case SetupError::none:
            world_.truth.claimed(claim.id(), key, since);
            return true;
        case SetupError::taken:
            world_.truth.refused(key, claim.owner(), since);
            world_.events.saw(Event::claim_lost);
            return false;
        case SetupError::busy:
            world_.events.saw(Event::busy);
            return false;
        case SetupError::chain_too_long:
            world_.events.saw(Event::bucket_full);
            return false;
        case SetupError::table_full:
            fail("no leak: no record is left");
        default:  // errors of layers above
            break;
    }
    std::abort();
}

bool Actor::reserve(Claim& claim, const Key& reply) {
    const Operation operation(*this, "reserve");
    switch (claim.reserve(reply)) {
        case SetupError::none:
            world_.truth.reserved(claim.id(), reply, operation.since());
            return true;
        case SetupError::taken:
            world_.truth.refused(reply, claim.owner(), operation.since());
            world_.events.saw(Event::reserve_lost);
            return false;
        case SetupError::busy:
            world_.events.saw(Event::busy);
            return false;
        case SetupError::chain_too_long:
            world_.events.saw(Event::bucket_full);
            return false;
        default:  // errors of claims, and of layers above
            break;
    }
    std::abort();
}

FlowId Actor::open(const Key& key, std::span<const Key> replies, Until until) {
    const Operation operation(*this, "set-up", 300 * (replies.size() + 1));
    FlowId given_up = no_flow;
    {
        Claim claim(engine_, key);
        if (!claimed(claim, key, operation.since())) return no_flow;
        bool reserved = false;
        if (until != Until::claimed)
            for (std::size_t i = 0; i < replies.size() && !reserved; ++i)
                reserved = reserve(claim, replies[i]);
        if (until == Until::published && reserved) return publish(claim);
        give_up(claim);
        given_up = claim.id();
    }
    world_.truth.check_gone(given_up);
    return no_flow;
}

FlowId Actor::succeed(const Key& key, const Key& reply) {
    const Operation operation(*this, "succession", 600);
    FlowId given_up = no_flow;
    {
        Claim claim(engine_, key);
        if (!claimed(claim, key, operation.since())) return no_flow;
        const Found before = find(reply);
        const bool mine =
            before && before.direction == Direction::reply && world_.table.begin_end(before.flow);
        if (mine && !random.one_in(4)) {
            world_.truth.hands_over(before.flow, claim.id(), reply);
            claim.succeed(before.flow, claim.hash(reply));
            world_.truth.ended(before.flow);
            world_.truth.reserved(claim.id(), reply, operation.since());
            world_.events.saw(Event::succeeded);
            return publish(claim);
        }
        if (mine) {
            world_.events.saw(Event::revived);
            world_.table.revive(before.flow);
        }
        give_up(claim);
        given_up = claim.id();
    }
    world_.truth.check_gone(given_up);
    return no_flow;
}

FlowId Actor::publish(Claim& claim) {
    const Moment expires = to_moment(world_.now_ms + lifetime_ms);
    claim.record().rule = rule_of(claim.id());
    world_.truth.publishes(claim.id(), rule_of(claim.id()), expires, id());
    world_.events.saw(Event::published);
    return claim.publish(expires, world_.now_ms);
}

void Actor::give_up(const Claim& claim) {
    world_.truth.gives_up(claim.id());
    world_.events.saw(Event::gave_up);
}

Found Actor::find(const Key& key) {
    const Operation operation(*this, "lookup", 30);
    const auto& index = world_.table.index();
    const Found found = index.find(key, index.hash(key));
    world_.truth.found(key, found, operation.since());
    if (!found) return found;
    world_.truth.holds(id(), found, key);
    const FlowStatus status = engine_.record(found.flow).status.load(std::memory_order_acquire);
    if (status == FlowStatus::setup) world_.events.saw(Event::found_setup);
    if (status == FlowStatus::ending || status == FlowStatus::dead ||
        status == FlowStatus::succeeded)
        world_.events.saw(Event::found_ending);
    return found;
}

void Actor::refresh(FlowId id) {
    world_.truth.refreshes(id, refreshed);
    engine_.record(id).expires.store(refreshed, std::memory_order_relaxed);
    world_.events.saw(Event::refreshed);
}

bool Actor::release(FlowId id) {
    const Operation operation(*this, "release");
    const bool mine = world_.table.release(id, engine_.counters(),
                                           [this](Record& record) { world_.gone(record); });
    if (!mine) world_.events.saw(Event::release_lost);
    if (random.one_in(2)) world_.table.hurry_reclamation();
    return mine;
}

bool Actor::find_and_release(const Key& key) {
    const Found found = find(key);
    return found && release(found.flow);
}

void Actor::rest() {
    world_.truth.lets_go(id());
    engine_.quiescent();
    world_.now_ms += rest_ms;
    const Operation operation(*this, "maintenance", 3000);
    engine_.maintain(world_.now_ms, 32, [this](Record& record) {
        world_.events.saw(Event::expired);
        world_.gone(record);
    });
}

World::World(const Shape& the_shape, std::uint64_t seed, Record* kept, std::uint64_t now)
    : shape(the_shape),
      scheduler(seed),
      table(kept == nullptr ? Table(flows_of(shape), shape.workers, shape.workers)
                            : Table(flows_of(shape), shape.workers, shape.workers, kept)),
      truth(table, scheduler, events),
      now_ms(now) {
    SeededRandom seeds(~seed);
    for (unsigned id = 0; id < shape.workers; ++id) {
        actors.push_back(
            std::make_unique<Actor>(*this, static_cast<std::uint16_t>(id), seeds.next()));
        actors.back()->engine().online();
    }
    scheduler.observe(*this);
}

Adopted World::adopt() {
    FlowAdoption<V4, Scheduled> flows(table);
    flows.enter_index([](const Record&, FlowStatus) { return Adoptable::yes; });
    std::vector<FlowId> spare = flows.free_the_rest();
    return {flows, std::move(spare)};
}

void World::take_over(const Adopted& adopted) {
    actor(0).engine().stock(adopted.spare);
    std::size_t given = 0;
    for (const auto& actor : actors)
        adopted.flows.give(actor->id(), [&](FlowId id, const Record& record) {
            if (record.owner != actor->id()) fail("adopted: a flow says that another owns it");
            actor->engine().arm(id, now_ms);
            ++given;
        });
    if (given != adopted.flows.counts().adopted) fail("adopted: a flow is in nobody's wheel");
    for (FlowId id = 1; id <= table.pool().last_id(); ++id)
        if (table.pool()[id].status.load() == FlowStatus::live) truth.adopts(id);
}

void World::run(const std::function<void(Actor&)>& program) {
    for (auto& actor : actors)
        scheduler.spawn([&program, &actor] { program(*actor); });
    scheduler.run();
    for (auto& actor : actors)
        events.saw(Event::scan_again, actor->engine().counters().search_restart.value());
}

void World::gone(Record& record) {
    truth.ended(truth.id_of(record));
    if (when_gone) when_gone(record);
}

void World::show(unsigned worker, std::uint64_t step, const Access& access) {
    names_.print(worker, step, access);
}

}  // namespace noclash::schedule
