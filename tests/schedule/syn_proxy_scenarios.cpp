// SPDX-License-Identifier: Apache-2.0

// Programs on proxied connections, whose two handshakes are joined by whichever worker has the
// backend's answer.

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nat/packet/parse.hpp"
#include "nat/syn_proxy/syn_proxy.hpp"
#include "tests/schedule/failure.hpp"
#include "tests/schedule/no_rules.hpp"
#include "tests/schedule/run_world.hpp"

namespace noclash::schedule {
namespace {

constexpr Shape joining_workers{3, 4, Collisions::spread};

/// A client has shown its cookie, and its backend's answer is on its way: it comes twice, to two
/// workers, while the owner's timer fires and the client or the backend may give up. The flow ends
/// up with one of these, whole: who sees it joined sees what its segments are shifted by, and no
/// timer of the opening ends a connection.
class JoinedHandshakes {
  public:
    explicit JoinedHandshakes(World& world) : world_(world) {
        for (unsigned i = 0; i < joining_workers.workers; ++i)
            proxies_.push_back(std::make_unique<Proxy>(&shared_, joining_workers.workers));
    }

    void prepare() {
        const Unseen unseen;
        flow_.tuples = {original(0), reply(0)};
        flow_.status.store(FlowStatus::live);
        nat::TcpSegment syn{.sequence = client_isn, .end = client_isn + 1};
        syn.flags = nat::tcp_flag::syn;
        nat::TcpWords(flow_, Direction::original, nat::TcpWindow::liberal).begin(syn, 7);
        nat::ProxiedOpening opening;
        opening.client_sequence = client_isn;
        opening.cookie = cookie;
        opening.client.window_scale = opening.offered_scale = 7;
        flow_.expires.store(proxies_[0]->begin(flow_, opening, world_.now_ms));
        timer_ms_ = world_.now_ms + 1000;
    }

    void work(Actor& me) {
        if (me.id() == 0) return pass_time();
        if (me.id() == 1 || me.random.one_in(3))
            return take(me, Direction::reply, nat::tcp_flag::syn | nat::tcp_flag::ack, backend_isn);
        if (me.random.one_in(2))
            return take(me, Direction::reply, nat::tcp_flag::rst | nat::tcp_flag::ack, 0);
        take(me, Direction::original, nat::tcp_flag::rst, client_isn + 1);
    }

    void check() const {
        const nat::TcpProgress progress = nat::tcp_progress(flow_);
        const auto times = [](bool one, unsigned count, const char* what) {
            if (count != (one ? 1U : 0U))
                fail("one owner: " + std::to_string(count) + " workers " + what);
        };
        const bool joined = progress.state() == nat::TcpState::established;
        const bool closed = progress.state() == nat::TcpState::close;
        if (!progress.is_proxied() || (!joined && !closed))
            fail("lost: the flow is neither joined nor closed");
        times(joined, joins_, "have joined the handshakes");
        times(closed, closes_, "have closed the flow");
        const Moment lives_until =
            nat::expiry(world_.now_ms, joined ? no_rules().timeouts.tcp_established_s
                                              : no_rules().timeouts.tcp_close_s);
        if (!timed_out_ && ms_between(flow_.expires.load(), lives_until) > time_passed_ms)
            fail("lost: a timer of the opening is in force on a flow that is past it");
    }

  private:
    using Proxy = nat::SynProxy<V4, Scheduled>;

    static constexpr std::uint32_t client_isn = 1000, backend_isn = 5000, cookie = 9000;
    static constexpr std::int64_t time_passed_ms = 60'000;

    /// The owner's timer: the SYN is sent again, and at last the flow is given up.
    void pass_time() {
        for (int fired = 0; fired < 20; ++fired) {
            const bool waited = nat::is_waiting(
                nat::TcpProgress(flow_.protocol_state.load(std::memory_order_acquire)));
            if (!proxies_[0]->lives_on(flow_, {no_rules(), timer_ms_}) && waited && gave_up())
                return;
            timer_ms_ += 1000;
        }
    }
    /// The last timer has closed the flow: nobody else has.
    bool gave_up() {
        if (proxies_[0]->counters().unanswered.value() == 0) return false;
        ++closes_;
        timed_out_ = true;
        world_.events.saw(Event::gave_up);
        return true;
    }

    /// As `Pipeline::track_proxied` does; a packet that parks comes again, for a while.
    void take(Actor& me, Direction from, std::uint8_t flags, std::uint32_t sequence) {
        const Key tuple = from == Direction::reply ? reply(0) : original(0);
        nat::OwnSegment<V4> segment(
            tuple,
            {.sequence = sequence, .acknowledgment = client_isn + 1, .window = 500, .flags = flags},
            {});
        nat::PacketContext<V4> context;
        context.packet = {segment.bytes().data(),
                          static_cast<std::uint32_t>(segment.bytes().size())};
        if (nat::parse<V4>(context.packet, 0, context.parsed) != nat::DropReason::none)
            fail("the segment of a test is broken");
        for (int tries = 0; tries < 50; ++tries) {
            const nat::TcpProgress seen(flow_.protocol_state.load(std::memory_order_acquire));
            if (!nat::is_waiting(seen)) {
                if (nat::is_shifted(flow_) && seen.state() == nat::TcpState::established)
                    look_at_shift();
                return;
            }
            if (seen.state() == nat::TcpState::syn_recv) continue;
            proxies_[me.id()]->wait(context, flow_, from, {no_rules(), world_.now_ms});
            if (context.verdict.outcome == nat::Outcome::park) {
                world_.events.saw(Event::busy);
                continue;
            }
            note(me, flags);
            return;
        }
    }
    void note(Actor& me, std::uint8_t flags) {
        const bool resets = (flags & nat::tcp_flag::rst) != 0;
        if (proxies_[me.id()]->outbox().take().size() != (resets ? 1 : 2))
            fail("a reset is told to the other end, and joined handshakes to both");
        ++(resets ? closes_ : joins_);
        world_.events.saw(resets ? Event::release_lost : Event::published);
        if (!resets) look_at_shift();
    }
    void look_at_shift() const {
        const nat::SequenceShift shift = nat::shift_of(flow_);
        if (shift.sequence != cookie - backend_isn)
            fail("lost: a joined flow does not shift its segments");
    }

    World& world_;
    nat::SynProxyShared<V4, Scheduled> shared_{{1, 2}, 4};
    std::vector<std::unique_ptr<Proxy>> proxies_;
    Record flow_;  ///< in no table: nobody looks it up
    std::uint64_t timer_ms_ = 0;
    unsigned joins_ = 0, closes_ = 0;
    bool timed_out_ = false;
};

RunReport joined_handshakes(std::uint64_t seed, Tracing tracing) {
    World world(joining_workers, seed);
    JoinedHandshakes handshakes(world);
    return run_world(
        world, tracing, [&](World&) { handshakes.prepare(); },
        [&](Actor& me) { handshakes.work(me); }, [&](World&) { handshakes.check(); });
}

}  // namespace

std::vector<Scenario> syn_proxy_scenarios() {
    using enum Event;
    return {
        {"joined_handshakes",
         "a backend's answer comes twice while timers fire and either end gives up",
         joined_handshakes,
         {published, release_lost, gave_up, busy},
         1},
    };
}

}  // namespace noclash::schedule
