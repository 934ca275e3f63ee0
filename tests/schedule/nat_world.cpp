// SPDX-License-Identifier: Apache-2.0

// When is "exhausted" right? A port is free when nobody owns its reply tuple. A worker that has
// taken a port out of the map and not proposed it yet, or has given its tuple back and not told the
// map yet, has one port in hand: free, and not to be found. So whoever says "exhausted" is wrong
// when more ports were free all the while than other workers had something in hand. And when
// nothing else happens, no port is in hand: then every free one has to be found.

#include "tests/schedule/nat_world.hpp"

#include <span>
#include <string>

#include "tests/schedule/failure.hpp"

namespace noclash::schedule {
namespace {

constexpr std::uint64_t still = ~0ULL;

}  // namespace

class NatWorld::InHand {
  public:
    InHand(NatWorld& world, const Actor& actor) : world_(world), worker_(actor.id()) {
        world_.in_hand_until_[worker_] = still;
    }
    ~InHand() { world_.in_hand_until_[worker_] = world_.engine.scheduler.steps(); }
    InHand(const InHand&) = delete;
    InHand& operator=(const InHand&) = delete;

  private:
    NatWorld& world_;
    unsigned worker_;
};

NatWorld::NatWorld(const Shape& shape, std::uint64_t seed, nat::PortRange ports, Record* kept,
                   std::uint64_t now_ms)
    : engine(shape, seed, kept, now_ms), crowded(engine.table), ports_(ports) {
    for (unsigned worker = 0; worker < shape.workers; ++worker)
        proposals_.push_back(std::make_unique<Proposals>(crowded));
    for (std::uint32_t port = ports.first; port <= ports.last; ++port)
        engine.watch(reply_with(port));
    engine.when_gone = [this](const Record& record) { crowded.ended(record); };
}

Adopted NatWorld::adopt() {
    const nat::Adoption<V4, Scheduled> adoption(engine.table, limits_, {policy_, engine.now_ms},
                                                engine.now_ms);
    return {adoption.flows(), adoption.spare()};
}

/// With what else the record of an established connection says.
void NatWorld::publish(Actor& me, Claim& claim) {
    {
        const Unseen unseen;
        fill_in(claim.record());
        claim.record().protocol_state.store(static_cast<std::uint8_t>(nat::TcpState::established));
    }
    me.publish(claim);
}

Key NatWorld::reply_with(std::uint32_t port) const {
    Key key = reply(0);
    key.destination_port = Be16::from_host(static_cast<std::uint16_t>(port));
    return key;
}

SetupError NatWorld::open(Actor& me, std::uint32_t number) {
    const Operation operation(me, "set-up with a port", 8000);
    const InHand in_hand(*this, me);
    Claim claim(me.engine(), original(number));
    if (!me.claimed(claim, original(number), operation.since())) return SetupError::unfinished;
    const std::array<V4Address, 1> addresses{reply(0).destination};
    const std::uint64_t since = engine.scheduler.steps();
    const SetupError proposed = proposals_[me.id()]->reserve(
        claim, reply_with(0),
        {.addresses = addresses, .ports = ports_, .reserved = &policy_.reserved_ports},
        to_moment(engine.now_ms));
    if (proposed == SetupError::none) {
        engine.truth.reserved(claim.id(), claim.record().tuple(Direction::reply), since);
        publish(me, claim);
    } else {
        if (proposed == SetupError::exhausted) check_exhausted(me, since);
        me.give_up(claim);
    }
    return proposed;
}

bool NatWorld::succeed(Actor& me, std::uint32_t number, const nat::OpeningSegment& segment) {
    const Operation operation(me, "succession", 3000);
    Claim claim(me.engine(), original(number));
    if (!me.claimed(claim, original(number), operation.since())) return false;
    const std::array<V4Address, 1> addresses{reply(0).destination};
    engine.truth.hands_over(no_flow, claim.id(), reply_with(ports_.first));
    nat::TimeWaitReuse<V4, Scheduled> reuse(engine.table, limits_);
    const bool done =
        reuse.succeed(claim, reply_with(0), addresses, ports_, proposals_[me.id()]->random(),
                      {policy_, engine.now_ms}, [&](const V4Address&) { return segment; });
    if (!done) {
        me.give_up(claim);
        return false;
    }
    engine.truth.ended(engine.truth.predecessor(claim.id()));
    engine.truth.reserved(claim.id(), claim.record().tuple(Direction::reply), operation.since());
    engine.events.saw(Event::succeeded);
    publish(me, claim);
    return true;
}

std::size_t NatWorld::hidden_since(const Actor& me, std::uint64_t since) const {
    std::size_t workers = 0;
    for (unsigned worker = 0; worker < in_hand_until_.size(); ++worker)
        if (worker != me.id() && in_hand_until_[worker] > since) ++workers;
    return workers;
}

void NatWorld::check_exhausted(const Actor& me, std::uint64_t since) {
    engine.events.saw(Event::exhausted);
    std::size_t free = 0;
    for (std::uint32_t port = ports_.first; port <= ports_.last; ++port)
        if (engine.truth.free_since(reply_with(port), since)) ++free;
    if (free > hidden_since(me, since))
        fail("exhausted means exhausted: " + std::to_string(free) +
             " ports were free all the while");
}

bool NatWorld::release(Actor& me, std::uint32_t number) {
    const InHand in_hand(*this, me);
    return me.find_and_release(original(number));
}

void NatWorld::rest(Actor& me) {
    const InHand in_hand(*this, me);
    me.rest();
}

void NatWorld::check_complete() {
    static constexpr std::uint32_t fresh = 2000;  // originals that no scenario uses
    Actor& any = engine.actor(0);
    for (std::uint32_t i = 0; i <= ports_.size(); ++i) {
        engine.watch(original(fresh + i));
        SetupError proposed = SetupError::unfinished;
        for (int visit = 0; visit < 8 && proposed == SetupError::unfinished; ++visit)
            proposed = open(any, fresh + i);
        if (proposed == SetupError::none) continue;
        if (proposed != SetupError::exhausted) fail("exhausted means exhausted: no answer");
        return;
    }
    fail("one owner: more flows than ports");
}

}  // namespace noclash::schedule
