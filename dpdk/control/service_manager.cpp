// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/service_manager.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

namespace noclash::dpdk {

namespace {

constexpr std::uint64_t calm_pause_ms = 1000;
constexpr std::uint64_t start_pause_ms = 5;  // the workers begin their first rounds
constexpr std::size_t longest_status = 1000;

/// The moment to which systemd compares the one at which it asked for a reload.
std::uint64_t monotonic_us() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace

std::string status_line(std::string text) {
    while (text.ends_with('\n'))
        text.pop_back();
    for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos;)
        text.replace(at, 1, "; ");
    if (text.size() <= longest_status) return text;
    // Not in the midst of a character, whose further bytes begin with the bits 10.
    std::size_t end = longest_status;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U)
        --end;
    return text.substr(0, end) + "...";
}

ServiceManager::ServiceManager(std::string status)
    : listens_(std::getenv("NOTIFY_SOCKET") != nullptr), status_(std::move(status)) {
    std::uint64_t deadline_us = 0;
    if (listens_ && ::sd_watchdog_enabled(0, &deadline_us) > 0)
        deadline_ms_ = std::max<std::uint64_t>(deadline_us / 1000, 1);
}

void ServiceManager::tell(std::string_view state) {
    if (!listens_) return;
    const int result = ::sd_notify(0, std::string(state).c_str());
    if (result >= 0 || failed_) return;
    failed_ = true;
    spdlog::error("the service manager cannot be told of noclash: NOTIFY_SOCKET: {}",
                  std::strerror(-result));
}

std::uint64_t ServiceManager::most_pause_ms() const {
    if (listens_ && !ready_) return start_pause_ms;
    return watchdog_ ? std::min(watchdog_->look_every_ms(), calm_pause_ms) : calm_pause_ms;
}

void ServiceManager::look(std::span<const std::uint64_t> rounds_ms, std::uint64_t now_ms) {
    if (!listens_) return;
    if (!ready_) {
        if (std::ranges::find(rounds_ms, std::uint64_t{0}) != rounds_ms.end()) return;
        ready_ = true;
        tell("READY=1\nSTATUS=" + status_line(status_));
        if (deadline_ms_ != 0) watchdog_.emplace(deadline_ms_, rounds_ms, now_ms);
    }
    if (!watchdog_) return;
    const Watchdog::Finding finding = watchdog_->look(rounds_ms, now_ms);
    for (const std::size_t id : finding.stalled)
        spdlog::error(
            "worker {} stands still: no round since {} ms; the watchdog of the service manager is "
            "not fed until it goes on",
            id, now_ms - rounds_ms[id]);
    for (const std::size_t id : finding.resumed)
        spdlog::warn("worker {} goes on", id);
    if (finding.feed) tell("WATCHDOG=1");
}

void ServiceManager::reloading() {
    if (ready_) tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", monotonic_us()));
}

void ServiceManager::reloaded(const std::string& outcome) {
    status_ = outcome;
    if (ready_) tell("READY=1\nSTATUS=" + status_line(status_));
}

void ServiceManager::stopping() {
    tell("STOPPING=1\nSTATUS=stopping");
}

}  // namespace noclash::dpdk
