// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "tools/cpsload/verdict.hpp"

namespace noclash::cpsload {
namespace {

constexpr Time on_terminal = second / 2;
constexpr Time elsewhere = 5 * second;
constexpr Time never = UINT64_MAX;

}  // namespace

std::string progress_line(const std::string& name, const Standing& standing) {
    const Counters& counters = standing.counters;
    std::string line = fmt::format(
        "{} {:6.1f} s  opened {}  {:.0f}/s  in flight {}  completed {}  {} {}  {} {}  {} {}  "
        "setup p50 {:.0f} us, p99 {:.0f} us",
        name, standing.seconds, counters.opened, standing.rate, standing.in_flight,
        counters.completed, word::lost, counters.lost, word::reset, counters.reset, word::repeated,
        counters.retransmissions, static_cast<double>(counters.setup_ns.quantile(0.5)) / 1000,
        static_cast<double>(counters.setup_ns.quantile(0.99)) / 1000);
    if (standing.lost_by_tester.total() > 0)
        line += fmt::format("  no verdict: {} {} packets", word::tester_lost,
                            standing.lost_by_tester.total());
    return line;
}

Progress::Progress(Mode mode, LossMeter losses)
    : losses_(std::move(losses)),
      interval_(on_terminal),
      terminal_(::isatty(STDERR_FILENO) == 1),
      next_(never) {
    if (!terminal_) interval_ = elsewhere;
    if (mode == Mode::silent) interval_ = never;
}

void Progress::start(std::string name, Time now, const Counters& counters) {
    name_ = std::move(name);
    begin_ = last_ = now;
    last_opened_ = counters.opened;
    if (interval_ != never) next_ = now + interval_;
}

void Progress::show(Time now, const Counters& counters, std::uint32_t in_flight) {
    const double lapsed = static_cast<double>(now - last_) / static_cast<double>(second);
    const std::string line = progress_line(
        name_, {.counters = counters,
                .seconds = static_cast<double>(now - begin_) / static_cast<double>(second),
                .rate = static_cast<double>(counters.opened - last_opened_) / lapsed,
                .in_flight = in_flight,
                .lost_by_tester = losses_ ? losses_() : TesterLosses{}});
    fmt::print(stderr, "{}", terminal_ ? "\r\033[K" + line : line + "\n");
    std::fflush(stderr);
    shown_ = terminal_;
    last_ = now;
    last_opened_ = counters.opened;
    next_ = now + interval_;
}

void Progress::say(const std::string& line) {
    if (interval_ == never) return;
    clear();
    fmt::print(stderr, "{}\n", line);
}

void Progress::clear() {
    if (shown_) fmt::print(stderr, "\r\033[K");
    std::fflush(stderr);
    shown_ = false;
}

}  // namespace noclash::cpsload
