// SPDX-License-Identifier: Apache-2.0
#include "tools/health/checker.hpp"

#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "dpdk/control/service_manager.hpp"
#include "engine/base/clock.hpp"

namespace noclash::health {

namespace {

constexpr std::uint64_t lateness_every_ns = 60'000 * ms_ns;

int open_eventfd() {
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) throw std::runtime_error(fmt::format("eventfd: {}", std::strerror(errno)));
    return fd;
}

}  // namespace

Checker::Checker(const Config& config, int signals)
    : config_(config),
      signals_(signals),
      news_(open_eventfd()),
      runner_(config.ceilings,
              [this](TargetId id, const Outcome& outcome) { conclude(id, outcome); }),
      link_(config.control_socket, [this] {
          const std::uint64_t one = 1;
          [[maybe_unused]] const ssize_t written = ::write(news_, &one, sizeof one);
      }) {
    if (!runner_.loop().watch(news_, EPOLLIN, *this) ||
        !runner_.loop().watch(signals_, EPOLLIN, *this))
        throw std::runtime_error(fmt::format("epoll: {}", std::strerror(errno)));
}

Checker::~Checker() {
    runner_.loop().unwatch(news_);
    runner_.loop().unwatch(signals_);
}

void Checker::run() {
    dpdk::ServiceManager manager(fmt::format("checking as {} says, for noclash at {}", config_.file,
                                             config_.control_socket));
    while (!stopping_) {
        const std::uint64_t now = noclash::now_ms();
        manager.look(std::array{now}, now);
        runner_.turn(now_ns() + manager.most_pause_ms() * ms_ns);
        report_lateness(now_ns());
    }
    manager.stopping();
}

void Checker::on_ready(int fd, std::uint32_t) {
    if (fd == signals_) {
        signalfd_siginfo signal{};
        if (::read(fd, &signal, sizeof signal) != sizeof signal) return;
        spdlog::info("SIG{}: the end; states of health stay as they are",
                     ::sigabbrev_np(static_cast<int>(signal.ssi_signo)));
        stopping_ = true;
        return;
    }
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(fd, &count, sizeof count);
    take_services();
}

void Checker::take_services() {
    const auto services = link_.take_services();
    if (!services) return;
    Targets targets = targets_of(config_.checks, *services);

    std::set<std::string> problems;
    for (std::string& problem : targets.problems) {
        if (!problems_.contains(problem)) spdlog::warn("{}", problem);
        problems.insert(std::move(problem));
    }
    problems_ = std::move(problems);

    std::erase_if(ids_, [&](const auto& known) {
        const auto& [name, id] = known;
        const auto found = targets.all.find(name);
        if (found != targets.all.end() &&
            found->second.endpoint == subjects_.at(id).target.endpoint)
            return false;
        spdlog::info("{} {}: not checked any more", name.first, name.second);
        link_.forget(name);
        runner_.remove(id);
        subjects_.erase(id);
        return true;
    });
    for (const auto& [name, target] : targets.all) {
        if (ids_.contains(name)) continue;
        const Check& check = *target.check;
        const TargetId id = runner_.add(check, target.endpoint);
        ids_.emplace(name, id);
        subjects_.emplace(id,
                          Subject{name, target, Standing(check.rise, check.fall, target.health)});
        spdlog::info("{} {}: checked every {} ms ({}); it is {}", name.first, name.second,
                     check.interval_ms, to_text(check.kind),
                     health_words[static_cast<std::size_t>(target.health)]);
    }
}

void Checker::conclude(TargetId id, const Outcome& outcome) {
    Subject& subject = subjects_.at(id);
    const auto& [service, backend] = subject.name;
    Standing& standing = subject.standing;
    if (!standing.add(outcome.success)) return;
    const bool up = standing.health() == Health::up;
    spdlog::log(up ? spdlog::level::info : spdlog::level::warn, "{} {} {}: {} ({} of {})", service,
                backend, up ? "up" : "down", outcome.words, standing.row(), standing.needed());
    link_.set(subject.name, up);
}

void Checker::report_lateness(std::uint64_t now_ns) {
    if (now_ns < report_ns_) return;
    const std::uint64_t late = runner_.schedule().late() - reported_late_;
    const std::uint64_t begun = runner_.schedule().begun() - reported_begun_;
    if (late > 0)
        spdlog::warn(
            "{} of {} checks began late, by more than a tenth of their interval: raise "
            "max_checks_per_s ({}) or max_in_flight ({}), or interval_ms",
            late, begun, config_.ceilings.checks_per_s, config_.ceilings.in_flight);
    reported_late_ += late;
    reported_begun_ += begun;
    report_ns_ = now_ns + lateness_every_ns;
}

}  // namespace noclash::health
