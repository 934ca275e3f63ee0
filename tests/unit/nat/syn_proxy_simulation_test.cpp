// SPDX-License-Identifier: Apache-2.0
// A client, the gateway with its SYN proxy, and a backend, with networks between them that lose,
// repeat, delay and reorder. A seed gives one run, always the same:
//
//     client  <---  network  --->  gateway, 1 or 2 workers  <---  network  --->  backend
//
// Whatever the run, what arrives is what was sent; nobody believes for long in a connection that
// the other end does not have; and in the end no flow is left. Where no packet is lost, a
// connection to a backend that answers is completed, and a client hears in time of one that does
// not.
//
// NOCLASH_SYN_PROXY_SEED runs one seed of each kind alone, and prints what the gateway does;
// NOCLASH_SYN_PROXY_RUNS says how many seeds there are.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "nat/conntrack/tcp_reset.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"
#include "tests/unit/nat/syn_proxy_fixture.hpp"
#include "tests/unit/nat/tcp_endpoint.hpp"

namespace noclash::nat::test::syn_proxy_simulation_test {
namespace {

enum class Kind : std::uint8_t {
    plain,      ///< a backend that answers
    lossy,      ///< likewise, where packets are lost
    refuses,    ///< the backend resets each SYN
    silent,     ///< the backend says nothing
    late,       ///< the backend says nothing for some seconds
    remembers,  ///< the backend holds an older connection of the same ends
    crashes,    ///< the client's host forgets its connection, and comes back with the same port
    attacked,   ///< somebody sends forged segments with the connection's ends
    automatic,  ///< the service is guarded now and then
    reuses,     ///< the client connects again at once, from the same port
    restarts,   ///< the gateway is killed, and another one adopts its flows
    everything  ///< losses, and any of these
};

class Draw {
  public:
    explicit Draw(std::uint64_t seed) : engine_(seed) {}
    /// `least` to `most`.
    std::uint32_t number(std::uint32_t least, std::uint32_t most) {
        return least + static_cast<std::uint32_t>(engine_() % (std::uint64_t{most} - least + 1));
    }
    std::uint32_t word() { return static_cast<std::uint32_t>(engine_()); }
    bool in_percent(std::uint32_t percent) { return number(0, 99) < percent; }
    bool coin() { return in_percent(50); }
    template <class T, std::size_t size>
    T one_of(const std::array<T, size>& values) {
        return values[number(0, size - 1)];
    }

  private:
    std::mt19937_64 engine_;
};

struct Network {
    std::uint32_t loss_percent = 0, copy_percent = 0, late_percent = 0, delay_ms = 5, jitter_ms = 0;
    static constexpr std::uint32_t most_late_ms = 3'000;  ///< of copies
};

/// All that a seed decides before a run.
struct Plan {
    Plan(Kind kind, Draw& draw) : is(kind) {
        const bool any = kind == Kind::everything;
        if (any)
            is = draw.one_of(std::array{Kind::lossy, Kind::refuses, Kind::silent, Kind::late,
                                        Kind::remembers, Kind::crashes, Kind::attacked,
                                        Kind::reuses, Kind::restarts});
        loses = any || kind == Kind::lossy || kind == Kind::restarts;
        for (Network* network : {&client_side, &server_side}) {
            network->delay_ms = draw.number(1, 40);
            network->jitter_ms = draw.coin() ? draw.number(0, 200) : 0;
            network->copy_percent = draw.coin() ? draw.number(0, 20) : 0;
            network->late_percent = draw.in_percent(30) ? 10 : 0;
            network->loss_percent = loses && kind != Kind::restarts ? draw.number(1, 15) : 0;
        }
        workers = draw.number(1, 2);
        any_worker = draw.coin();
        window = draw.coin() ? TcpWindow::liberal : TcpWindow::strict;
        // Then anybody's RST counts, and nobody knows what a connection's ends expect.
        if (is != Kind::attacked && draw.in_percent(20)) window = TcpWindow::off;
        // What the backend remembers has the client's own address.
        masquerades = draw.in_percent(25) && is != Kind::remembers;
        offer.window_scale = static_cast<std::uint8_t>(draw.number(0, 10));
        offer.sack = draw.in_percent(80);
        offer.timestamps = draw.in_percent(80);
        for (Stack* stack : {&client, &server}) {
            stack->max_segment_size = static_cast<std::uint16_t>(draw.number(400, 1300));
            stack->window_scale = {};
            if (draw.in_percent(80))
                stack->window_scale = static_cast<std::uint8_t>(draw.number(0, 8));
            stack->sack = draw.in_percent(80);
            stack->timestamps = draw.in_percent(80);
            stack->buffer = draw.one_of(std::array{4096U, 10'000U, 65'535U, 400'000U});
            stack->read_every_ms = draw.coin() ? 0 : draw.number(1, 700);
            stack->probes_with_data = draw.coin();
        }
        const std::uint32_t request = draw.number(0, 9'000), response = draw.number(0, 20'000);
        switch (draw.number(0, 3)) {
            case 0:  // a request, a response
                client_talk = {request, 0, response};
                server_talk = {response, request, request};
                break;
            case 1:  // the server speaks first
                client_talk = {request, response, response};
                server_talk = {response, 0, request};
                break;
            case 2:  // both at once
                client_talk = {request, 0, response};
                server_talk = {response, 0, request};
                break;
            default:  // the client closes its half at once
                client_talk = {request, 0, 0};
                server_talk = {response, request, request};
                break;
        }
        if (is == Kind::late) answers_from_ms = draw.number(100, 6'000);
        if (is == Kind::restarts) {
            kill_ms = draw.number(10, 3'000);
            start_ms = kill_ms + draw.number(10, 4'000);
        }
        if (is == Kind::crashes) {
            crash_ms = draw.number(10, 2'500);
            // Not before all that it has sent has gone (RFC 9293, section 3.4.3).
            back_ms = crash_ms + draw.number(3'500, 7'000);
        }
    }

    Kind is;
    bool loses;
    Network client_side, server_side;
    unsigned workers = 1;
    bool any_worker = false;  ///< else one for each direction
    TcpWindow window = TcpWindow::liberal;
    bool masquerades = false;
    SynOffer offer;
    Stack client, server;
    Talk client_talk, server_talk;
    std::uint64_t answers_from_ms = 0, crash_ms = 0, back_ms = 0, kill_ms = 0, start_ms = 0;
};

class World {
  public:
    World(Kind kind, std::uint64_t seed, bool prints)
        : draw_(seed * 16 + static_cast<std::uint64_t>(kind)), plan_(kind, draw_), prints_(prints) {
        start(kind);
        service_id_ = gateway_->identities.rule("web");
    }

    void run() {
        if (plan_.is == Kind::remembers) remember();
        connect();
        while (now() < most_ms && !is_over()) {
            step();
            if (!faults_.empty()) return;
        }
        if (!is_over()) return fault("an end never ends");
        judge_ends();
        for (std::uint64_t until = now() + quiet_ms; now() < until;) {
            gateway_->now_ms += 500;
            deliver_due();
            maintain();
        }
        if (gateway_->table.index().occupancy().entries != 0) fault("a flow is left");
    }

    [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }
    /// The client has said and heard everything.
    [[nodiscard]] bool completed() const { return completed_; }
    [[nodiscard]] const Plan& plan() const { return plan_; }

  private:
    /// A gateway, on the records that the last one has left.
    void start(Kind kind) {
        PolicyConfig<V4> policy{{}, {masquerade()}};
        Service<V4> service = syn_proxy_test::web(kind == Kind::automatic ? SynProxyMode::automatic
                                                                          : SynProxyMode::on);
        service.source_nat = plan_.masquerades ? SourceNat::masquerade : SourceNat::keep;
        service.syn_offer = plan_.offer;
        policy.services = {service};
        policy.tcp.window = plan_.window;
        const std::uint64_t left_ms = gateway_ == nullptr ? begin_ms : begin_ms + plan_.kill_ms;
        const std::uint64_t starts_ms = gateway_ == nullptr ? begin_ms : gateway_->now_ms;
        gateway_ = std::make_unique<TestGateway>(policy, plan_.workers, flows, LimitsConfig<V4>{},
                                                 TcpTimestamps::preserve, &records_[0]);
        gateway_->timeouts = short_timeouts();
        gateway_->now_ms = starts_ms;
        gateway_->keep_policy();
        gateway_->adopt(left_ms);
    }

    static constexpr std::uint32_t flows = 64;
    static constexpr std::uint64_t begin_ms = 1'000'000, most_ms = 600'000, quiet_ms = 430'000,
                                   step_ms = 5;
    enum class To : std::uint8_t { gateway, client, server };
    struct OnWay {
        To to;
        std::uint16_t port;  ///< of the gateway
        Bytes packet;
        unsigned tries = 0;
    };
    using Key = std::tuple<std::uint32_t, std::uint16_t>;

    static Timeouts short_timeouts() {
        Timeouts timeouts;
        timeouts.tcp_established_s = 400;
        for (std::uint32_t* timeout :
             {&timeouts.tcp_syn_sent_s, &timeouts.tcp_syn_recv_s, &timeouts.tcp_fin_wait_s,
              &timeouts.tcp_close_wait_s, &timeouts.tcp_last_ack_s, &timeouts.tcp_time_wait_s,
              &timeouts.tcp_close_s})
            *timeout = 120;
        return timeouts;
    }

    [[nodiscard]] std::uint64_t now() const { return gateway_->now_ms - begin_ms; }
    void fault(const std::string& what) {
        faults_.push_back(std::to_string(now()) + " ms: " + what);
        print("FAULT " + what);
    }
    void print(const std::string& what) const {
        if (prints_) std::cout << now() << ' ' << what << '\n';
    }
    void print(const char* what, const Bytes& packet) const {
        if (!prints_) return;
        std::ostringstream text;
        text << what << ' ' << segment_in(packet);
        print(text.str());
    }

    // The ends

    void connect() {
        plan_.client.initial_sequence = draw_.word();
        plan_.client.clock = draw_.word();
        client_talks_ = true;
        client_ = std::make_unique<TcpEndpoint>(
            plan_.client, plan_.client_talk, now(),
            [this](const WholeSegment& segment) {
                send(To::gateway, 0, bytes_of(client_ends, segment), plan_.client_side);
            },
            [this](const std::string& what) { fault("client: " + what); });
    }
    void at_client(const Bytes& packet) {
        if (!client_talks_) return;
        const WholeSegment segment = segment_in(packet);
        client_->receive(segment, now());
    }
    TcpEndpoint& serve(const Ends& ends, const WholeSegment& syn) {
        plan_.server.initial_sequence = draw_.word();
        plan_.server.clock = draw_.word();
        servers_.push_back(std::make_unique<TcpEndpoint>(
            plan_.server, plan_.server_talk, now(), sender_of(ends),
            [this](const std::string& what) { fault("server: " + what); }, syn));
        return *(at_server_[key_of(ends)] = servers_.back().get());
    }
    TcpEndpoint::Send sender_of(const Ends& ends) {
        return [this, ends](const WholeSegment& segment) {
            send(To::gateway, 1, bytes_of(back_to(ends), segment), plan_.server_side);
        };
    }
    static Key key_of(const Ends& ends) { return {ends.source, ends.source_port}; }
    void at_server(const Bytes& packet) {
        const bool is_quiet = plan_.is == Kind::silent || now() < plan_.answers_from_ms;
        if (is_quiet) return;
        const WholeSegment segment = segment_in(packet);
        const Ends ends = ends_of(packet);
        const auto there = at_server_.find(key_of(ends));
        const bool opens = segment.has(tcp_flag::syn) && !segment.has(tcp_flag::ack) &&
                           !segment.has(tcp_flag::rst);
        const bool is_free = there == at_server_.end() || there->second->gives_way(segment);
        if (opens && is_free && plan_.is != Kind::refuses) {
            serve(ends, segment);
            return;
        }
        if (there == at_server_.end()) return TcpEndpoint::refuse(segment, sender_of(ends));
        there->second->receive(segment, now());
    }
    /// A connection of the client's address and port, which the client knows nothing of.
    void remember() {
        Ends ends = client_ends;
        ends.destination = host("10.2.0.2");
        ends.destination_port = 8080;
        const std::uint32_t opener = draw_.word();
        TcpEndpoint& old = serve(ends, {.flags = tcp_flag::syn, .sequence = opener, .window = 999});
        old.receive({.flags = tcp_flag::ack,
                     .sequence = opener + 1,
                     .acknowledgment = plan_.server.initial_sequence + 1,
                     .window = 999},
                    now());
        on_way_.clear();
    }

    // The networks and the gateway

    void send(To to, std::uint16_t port, const Bytes& packet, const Network& network) {
        if (draw_.in_percent(network.loss_percent)) return print("   lost", packet);
        const int copies = draw_.in_percent(network.copy_percent) ? 2 : 1;
        for (int copy = 0; copy < copies; ++copy) {
            const std::uint64_t late_ms = copy > 0 && draw_.in_percent(network.late_percent)
                                              ? draw_.number(0, Network::most_late_ms)
                                              : 0;
            const std::uint64_t due =
                late_ms + now() + network.delay_ms + draw_.number(0, network.jitter_ms);
            on_way_.emplace(due, OnWay{to, port, packet});
        }
    }
    void deliver_due() {
        while (!on_way_.empty() && on_way_.begin()->first <= now()) {
            const OnWay arrived = std::move(on_way_.begin()->second);
            on_way_.erase(on_way_.begin());
            if (arrived.to == To::gateway)
                at_gateway(arrived);
            else if (arrived.to == To::client)
                at_client(arrived.packet);
            else
                at_server(arrived.packet);
        }
    }
    void at_gateway(const OnWay& arrived) {
        if (is_down_) return;
        const unsigned worker = plan_.workers == 1 ? 0U
                                : plan_.any_worker ? draw_.number(0, 1)
                                                   : arrived.port;
        print(arrived.port == 0 ? "client >" : "                    < server", arrived.packet);
        Bytes packet = arrived.packet;
        const PacketContext<V4> context = gateway_->decide(packet, arrived.port, worker);
        const Verdict& verdict = context.verdict;
        if (verdict.transmits()) {
            leave(context.hop.port, packet);
        } else if (verdict.outcome == Outcome::reset) {
            answer_by_reset(arrived.packet);
        } else if (verdict.outcome == Outcome::park && arrived.tries < 500) {
            OnWay later = arrived;
            ++later.tries;
            on_way_.emplace(now() + 1 + draw_.number(0, 2), later);
        } else if (verdict.outcome != Outcome::taken) {
            print("   dropped: " + std::string(to_string(verdict.reason)));
        }
        gather();
    }
    void leave(std::uint16_t port, const Bytes& packet) {
        print(port == 0 ? "       < to client" : "                    to server >", packet);
        send(port == 0 ? To::client : To::server, port, packet,
             port == 0 ? plan_.client_side : plan_.server_side);
    }
    void answer_by_reset(Bytes segment) {
        Parsed<V4> parsed;
        ASSERT_EQ(parse<V4>(view(segment), 0, parsed), DropReason::none);
        send_own(build_tcp_reset<V4>(view(segment), parsed));
    }
    void gather() {
        for (const auto& pipeline : gateway_->pipelines)
            for (const OwnSegment<V4>& segment : pipeline->outbox().take())
                send_own(segment);
    }
    void send_own(const OwnSegment<V4>& segment) {
        leave(gateway_->router.route(segment.destination())->port,
              Bytes(segment.bytes().begin(), segment.bytes().end()));
    }
    void maintain() {
        gateway_->engines[0]->quiescent();
        for (unsigned worker = 0; worker < plan_.workers; ++worker)
            gateway_->maintain(1U << 20U, worker);
        gather();
    }

    // Time

    void step() {
        gateway_->now_ms += step_ms;
        deliver_due();
        if (client_talks_) client_->tick(now());
        for (const auto& server : servers_)
            server->tick(now());
        if (now() % 50 == 0 && !is_down_) maintain();
        if (plan_.kill_ms != 0) restart();
        if (plan_.crash_ms != 0) live_and_die();
        if (plan_.is == Kind::reuses) connect_again();
        if (plan_.is == Kind::attacked && now() < 20'000 && draw_.in_percent(10)) attack();
        if (plan_.is == Kind::automatic && now() % 500 == 0 && draw_.in_percent(20))
            gateway_->syn_proxy.guard(service_id_, gateway_->now_ms);
        look_at_beliefs();
    }
    void restart() {
        if (now() >= plan_.kill_ms && now() < plan_.start_ms) is_down_ = true;
        if (now() < plan_.start_ms || !is_down_) return;
        print("the gateway starts again");
        is_down_ = false;
        start(plan_.is);
    }
    /// As soon as its last connection is over.
    void connect_again() {
        if (came_back_ || client_->life() != TcpEndpoint::Life::closed) return;
        print("the client connects again");
        first_fate_ = client_->fate();
        came_back_ = true;
        connect();
    }
    void live_and_die() {
        if (now() >= plan_.crash_ms && !crashed_) {
            print("the client's host crashes");
            crashed_ = true;
            client_talks_ = false;
            client_->crash();
        }
        if (now() >= plan_.back_ms && !came_back_) {
            print("and comes back");
            came_back_ = true;
            connect();
        }
    }
    /// A segment that nobody has sent, with numbers that nobody has.
    void attack() {
        constexpr std::array<std::uint8_t, 6> flags{tcp_flag::syn,
                                                    tcp_flag::ack,
                                                    tcp_flag::rst,
                                                    tcp_flag::syn | tcp_flag::ack,
                                                    tcp_flag::rst | tcp_flag::ack,
                                                    tcp_flag::fin | tcp_flag::ack};
        WholeSegment forged{.flags = draw_.one_of(flags),
                            .sequence = draw_.word(),
                            .acknowledgment = draw_.word(),
                            .window = static_cast<std::uint16_t>(draw_.word())};
        if (!forged.has(tcp_flag::ack)) forged.acknowledgment = 0;
        Ends ends = client_ends;
        std::uint16_t port = 0;
        if (draw_.coin() && !at_server_.empty()) {
            port = 1;
            const auto& [address, number] = at_server_.begin()->first;
            ends = {host("10.2.0.2"), address, 8080, number};
        }
        at_gateway({To::gateway, port, bytes_of(ends, forged)});
    }

    // Judgements

    [[nodiscard]] bool is_over() const {
        if ((plan_.crash_ms != 0 || plan_.is == Kind::reuses) && !came_back_) return false;
        return client_->life() == TcpEndpoint::Life::closed &&
               std::ranges::all_of(servers_, [](const auto& server) {
                   return server->life() == TcpEndpoint::Life::closed;
               });
    }
    [[nodiscard]] const TcpEndpoint* server_of(std::uint32_t opener) const {
        for (const auto& server : servers_)
            if (server->opener() == opener) return server.get();
        return nullptr;
    }
    /// So long may an end believe in a connection that its peer does not have.
    [[nodiscard]] std::uint64_t most_believed_ms(bool is_urged, bool of_client) const {
        // Where the last RST is lost, a probe with a cookie that holds begins it all anew.
        if (plan_.is == Kind::silent && plan_.loses) return is_urged ? 65'000 : 95'000;
        if (plan_.loses || crashed_) return is_urged ? 45'000 : 95'000;
        if (!of_client || plan_.is == Kind::refuses) return 2'000;
        // Its RST and the new SYN may overtake each other.
        if (plan_.is == Kind::remembers || plan_.is == Kind::reuses) return 9'000;
        return plan_.is == Kind::silent || plan_.is == Kind::late ? 17'500 : 3'000;
    }
    void look_at_beliefs() {
        const auto* of_client = server_of(client_->opener());
        const bool there =
            of_client != nullptr &&
            (of_client->life() != TcpEndpoint::Life::closed || of_client->fate() == Fate::done);
        look(client_->believes() && !there, client_alone_ms_, client_->is_urged(), true);
        for (const auto& server : servers_) {
            const bool known =
                server->opener() == client_->opener() && client_talks_ &&
                (client_->life() != TcpEndpoint::Life::closed || client_->fate() == Fate::done);
            if (plan_.is == Kind::remembers && server == servers_.front()) continue;
            look(server->believes() && !known, server_alone_ms_[server.get()], server->is_urged(),
                 false);
        }
    }
    void look(bool alone, std::uint64_t& since_ms, bool is_urged, bool of_client) {
        if (!alone) {
            since_ms = 0;
            return;
        }
        if (since_ms == 0) since_ms = now();
        if (now() - since_ms > most_believed_ms(is_urged, of_client))
            fault(std::string(of_client ? "the client" : "the backend") +
                  " believes alone in a connection");
    }
    void judge_ends() {
        const TcpEndpoint* const server = server_of(client_->opener());
        // A forged SYN may end what is over but for the last acknowledgment.
        const bool ended = client_->fate() == Fate::done ||
                           (plan_.is == Kind::attacked && client_->fate() == Fate::reset);
        completed_ = ended && client_->got_all(plan_.server_talk) && server != nullptr &&
                     server->got_all(plan_.client_talk);
        if (client_->fate() == Fate::done && !completed_)
            fault("the client is content, and something is missing");
        if (plan_.loses) return;
        const bool answers = plan_.is != Kind::refuses && plan_.is != Kind::silent;
        const bool both = plan_.is != Kind::reuses || first_fate_ == Fate::done;
        if (answers && (!completed_ || !both))
            fault("without losses, a connection is not completed");
        if (!answers && client_->fate() != Fate::reset) fault("the client has not been told");
    }

    static inline const Ends client_ends{host("10.1.0.7"), host("203.0.113.7"), 40000, 80};

    Draw draw_;
    Plan plan_;
    bool prints_;
    HugeArray<FlowTable<V4>::Record> records_{FlowTable<V4>::records_for(flows, 2)};
    std::unique_ptr<TestGateway> gateway_;
    bool is_down_ = false;
    RuleId service_id_ = 0;
    std::multimap<std::uint64_t, OnWay> on_way_;  ///< by when it arrives
    std::unique_ptr<TcpEndpoint> client_;
    bool client_talks_ = false, crashed_ = false, came_back_ = false, completed_ = false;
    Fate first_fate_ = Fate::open;
    std::vector<std::unique_ptr<TcpEndpoint>> servers_;
    std::map<Key, TcpEndpoint*> at_server_;
    std::uint64_t client_alone_ms_ = 0;
    std::map<const TcpEndpoint*, std::uint64_t> server_alone_ms_;
    std::vector<std::string> faults_;
};

class SynProxySimulation : public testing::TestWithParam<std::pair<const char*, Kind>> {};

TEST_P(SynProxySimulation, KeepsBothEndsTogether) {
    const auto& [name, kind] = GetParam();
    const char* const alone = std::getenv("NOCLASH_SYN_PROXY_SEED");
    const char* const runs_text = std::getenv("NOCLASH_SYN_PROXY_RUNS");
    const std::uint64_t first = alone == nullptr ? 0 : std::strtoull(alone, nullptr, 10);
    const std::uint64_t runs = alone != nullptr       ? 1
                               : runs_text != nullptr ? std::strtoull(runs_text, nullptr, 10)
                                                      : 250;
    std::uint64_t hopeful = 0, completed = 0;
    int failed = 0;
    for (std::uint64_t seed = first; seed < first + runs && failed < 5; ++seed) {
        World world(kind, seed, alone != nullptr);
        try {
            world.run();
        } catch (const std::exception& error) {
            ++failed;
            ADD_FAILURE() << error.what() << "\nalone: NOCLASH_SYN_PROXY_SEED=" << seed
                          << " syn_proxy_test --gtest_filter='*KeepsBothEndsTogether/" << name
                          << "'";
            continue;
        }
        for (const std::string& fault : world.faults())
            ADD_FAILURE() << fault << "\nalone: NOCLASH_SYN_PROXY_SEED=" << seed
                          << " syn_proxy_test --gtest_filter='*KeepsBothEndsTogether/" << name
                          << "'";
        failed += world.faults().empty() ? 0 : 1;
        const Kind is = world.plan().is;
        hopeful += is != Kind::refuses && is != Kind::silent ? 1U : 0U;
        completed += world.completed() ? 1U : 0U;
    }
    RecordProperty("completed", std::to_string(completed));
    if (runs > 1 && failed == 0) {
        EXPECT_GE(completed * 100, hopeful * 90) << "of connections that lose packets, too";
    }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, SynProxySimulation,
    testing::Values(std::pair{"Plain", Kind::plain}, std::pair{"Lossy", Kind::lossy},
                    std::pair{"Refuses", Kind::refuses}, std::pair{"Silent", Kind::silent},
                    std::pair{"Late", Kind::late}, std::pair{"Remembers", Kind::remembers},
                    std::pair{"Crashes", Kind::crashes}, std::pair{"Attacked", Kind::attacked},
                    std::pair{"Automatic", Kind::automatic}, std::pair{"Reuses", Kind::reuses},
                    std::pair{"Restarts", Kind::restarts},
                    std::pair{"Everything", Kind::everything}),
    [](const auto& kind) { return kind.param.first; });

}  // namespace
}  // namespace noclash::nat::test::syn_proxy_simulation_test
