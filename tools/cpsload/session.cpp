// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "tools/cpsload/ring_pair.hpp"
#include "tools/cpsload/search.hpp"

namespace noclash::cpsload {
namespace {

constexpr Time ceiling_time = second / 2;
constexpr std::uint32_t ceiling_in_flight = 512;  // keeps all of them in the first caches
constexpr nat::MacAddress client_mac{{2, 0, 0, 0, 0, 1}}, server_mac{{2, 0, 0, 0, 0, 2}};
// A tester that opens less than this share of what it should has not tried the rate.
constexpr double least_attained = 0.98;

/// One measurement on its way.
class Session {
  public:
    Session(const Options& options, const Bench& bench, Side client, Side server)
        : options_(options),
          client_(client),
          server_(server),
          ledger_(std::make_unique<Ledger>(options.settings)),
          tester_(*ledger_, client, server, bench.packets),
          losses_(bench.losses),
          progress_(bench.progress, bench.losses),
          runner_(*ledger_, tester_, bench.clock, options.idle, bench.stop, progress_) {}

    Outcome measure();

  private:
    void run(Outcome& outcome);
    void search_rate(Outcome& outcome);
    Trial attempt(double rate, Outcome& outcome);
    void tear_down(Outcome& outcome);
    void find_capacity(Outcome& outcome);
    [[nodiscard]] bool tuples_suffice(double rate) const;
    [[nodiscard]] TesterLosses lost_by_tester() const {
        return losses_ ? losses_() : TesterLosses{};
    }

    const Options& options_;
    Side client_;
    Side server_;
    std::unique_ptr<Ledger> ledger_;
    Tester tester_;
    LossMeter losses_;
    Progress progress_;
    Runner runner_;
};

void Session::run(Outcome& outcome) {
    outcome.lapse = runner_.run({.name = options_.profile,
                                 .schedule = options_.schedule,
                                 .connections = options_.connections,
                                 .duration = options_.duration});
}

/// Whether a trial can be run without taking a source tuple again too early.
bool Session::tuples_suffice(double rate) const {
    const double there =
        static_cast<double>(Plan::tuples(options_.settings, options_.settings.traffic.front()));
    if (options_.self_test) return true;
    const double opened = static_cast<double>(ledger_->counters.opened);
    const double wanted = rate * static_cast<double>(options_.search.trial) / second;
    const bool stays_open = options_.settings.traffic.front().kind == Kind::syn;
    return opened + wanted <= there ||
           (!stays_open && there / rate * static_cast<double>(second) >=
                               static_cast<double>(options_.reuse_after));
}

Trial Session::attempt(double rate, Outcome& outcome) {
    Trial trial;
    trial.wanted_cps = rate;
    Counters& counters = ledger_->counters;
    const std::uint64_t opened = counters.opened;
    const std::uint64_t troubled = counters.troubled;
    const std::uint64_t lost_before = lost_by_tester().total();
    // A bad failure need not be seen to its end: who is not done after a retransmission is lost.
    Load load;
    load.name = fmt::format("{:.0f}/s", rate);
    load.schedule.to_cps = rate;
    load.duration = options_.search.trial;
    load.most_troubled = static_cast<std::uint64_t>(rate * options_.search.max_loss * 2) + 1000;
    load.patience = options_.settings.rto + second;
    const Lapse lapse = runner_.run(load);
    const auto count = static_cast<double>(counters.opened - opened);
    const std::uint64_t failed = counters.troubled - troubled + ledger_->abandon();
    trial.opened_cps = count / (static_cast<double>(lapse.opening) / second);
    trial.loss = count == 0 ? 0 : static_cast<double>(failed) / count;  // then it is not attained
    outcome.lapse.opening += lapse.opening;
    outcome.lapse.all += lapse.all;
    outcome.lapse.cpu += lapse.cpu;
    outcome.lapse.missed += lapse.missed;
    trial.lost_by_tester = lost_by_tester().total() - lost_before;
    if (trial.loss > options_.search.max_loss && trial.lost_by_tester > 0) {
        trial.attained = false;
        trial.why_not =
            fmt::format("no verdict: {} {} packets", word::tester_lost, trial.lost_by_tester);
    } else if (trial.loss > options_.search.max_loss) {
        trial.why_not = "loss";
    } else if (trial.opened_cps < rate * least_attained) {
        trial.attained = false;
        trial.why_not =
            "the tester could not open so many: too little CPU time, or too few --in-flight";
    } else {
        trial.passed = true;
    }
    return trial;
}

void Session::search_rate(Outcome& outcome) {
    outcome.highest_cps = search(options_.search, [&](double rate) -> std::optional<Trial> {
        if (!tuples_suffice(rate)) {
            outcome.problem = fmt::format(
                "{:.0f}/s not tried: too few source tuples are left; give more --sources, see "
                "--reuse-after",
                rate);
            return std::nullopt;
        }
        const Trial trial = attempt(rate, outcome);
        if (runner_.stopped()) return std::nullopt;
        progress_.say(fmt::format(
            "{:.0f}/s: {}", rate,
            trial.passed ? "passed"
                         : fmt::format("{:.4f} % loss: {}", 100 * trial.loss, trial.why_not)));
        outcome.trials.push_back(trial);
        // Late packets must not disturb the next trial.
        runner_.rest(options_.search.pause);
        return trial;
    });
    outcome.limited_by_tester = limited_by_tester(outcome.trials);
    if (outcome.highest_cps == 0 && outcome.problem.empty())
        outcome.problem = "no rate passed; try a lower --search-from or another --max-loss";
}

void Session::tear_down(Outcome& outcome) {
    outcome.lapse = runner_.run(
        {.name = "opening", .schedule = options_.schedule, .connections = options_.connections});
    outcome.held = ledger_->counters.held;
    outcome.closing = runner_.close_held({});
    if (outcome.held < options_.connections)
        outcome.problem = "not all connections could be opened, see --measure capacity";
}

void Session::find_capacity(Outcome& outcome) {
    // Full is when openings begin to fail: some are enough to know it.
    const std::uint64_t enough = 1000;
    outcome.lapse = runner_.run({.name = "opening",
                                 .schedule = options_.schedule,
                                 .connections = options_.connections,
                                 .most_lost = enough});
    outcome.held = ledger_->counters.held;
    const std::uint64_t answered = ledger_->counters.answered;
    static_cast<void>(runner_.ask_held(options_.schedule));
    outcome.still_alive = ledger_->counters.answered - answered;
    outcome.closing = runner_.close_held(options_.schedule);
}

Outcome Session::measure() {
    Outcome outcome;
    switch (options_.measure) {
        case Measure::run:
            run(outcome);
            break;
        case Measure::search:
        case Measure::establishment:
            search_rate(outcome);
            break;
        case Measure::teardown:
            tear_down(outcome);
            break;
        case Measure::capacity:
            find_capacity(outcome);
            break;
    }
    outcome.interrupted = runner_.stopped();
    // A connection that neither ended nor was given up is nobody's fault when we were told to end.
    if (!outcome.interrupted && ledger_->connections.live() > 0)
        outcome.problem = "some connections neither ended nor failed";
    static_cast<void>(ledger_->abandon());
    outcome.counters = ledger_->counters;
    outcome.client = client_.link.counters();
    outcome.server = server_.link.counters();
    outcome.lost_by_tester = lost_by_tester();
    return outcome;
}

}  // namespace

Outcome measure(const Options& options, const Bench& bench, Side client, Side server) {
    return Session(options, bench, client, server).measure();
}

Outcome measure_back_to_back(const Options& options, const Bench& bench) {
    const RingPair wire(bench.packets);
    Link client_link(wire.port(0));
    Link server_link(wire.port(1));
    Station client(client_mac, server_mac);
    Station server(server_mac, client_mac);
    return measure(options, bench, {client_link, client}, {server_link, server});
}

Options ceiling_options(const Options& options) {
    Options own = options;
    own.measure = Measure::run;
    own.schedule = {};
    own.connections = UINT64_MAX;
    own.duration = ceiling_time;
    own.idle = dpdk::Idle::poll;
    own.settings.in_flight = ceiling_in_flight;
    own.settings.backends.clear();
    for (Traffic& traffic : own.settings.traffic)
        if (traffic.kind == Kind::hold) traffic.kind = Kind::crr;
    return own;
}

double ceiling_of(const Outcome& outcome) {
    if (outcome.interrupted) return 0;
    if (!outcome.counters.clean())
        throw std::runtime_error(
            "the self-test before the run found faults with nothing between "
            "the two sides; run `cpsload --self-test` to see them");
    return static_cast<double>(outcome.counters.opened) /
           (static_cast<double>(outcome.lapse.opening) / second);
}

}  // namespace noclash::cpsload
