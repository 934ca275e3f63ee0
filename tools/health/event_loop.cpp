// SPDX-License-Identifier: Apache-2.0
#include "tools/health/event_loop.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

namespace noclash::health {

namespace {

constexpr std::uint64_t longest_wait_ms = 60'000;

}  // namespace

std::uint64_t now_ns() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(
        duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count());
}

EventLoop::EventLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

EventLoop::~EventLoop() {
    ::close(epoll_);
}

bool EventLoop::watch(int fd, std::uint32_t events, Watcher& watcher) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    const bool known = !watchers_.insert_or_assign(fd, &watcher).second;
    if (known && ::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0) return true;
    // Also where the descriptor was closed and opened anew.
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void EventLoop::unwatch(int fd) {
    if (watchers_.erase(fd) > 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::wait(std::uint64_t until_ns) {
    const std::uint64_t now = now_ns();
    const std::uint64_t left = until_ns > now ? until_ns - now : 0;
    // Rounded up: a wait that ended too early would be followed by others of no length at all.
    const std::uint64_t wait_ms = left / ms_ns + (left % ms_ns != 0 ? 1 : 0);
    std::array<epoll_event, 256> ready{};
    const int count = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()),
                                   static_cast<int>(std::min(wait_ms, longest_wait_ms)));
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = ready[static_cast<std::size_t>(i)];
        // One before it may have ended this watch.
        const auto found = watchers_.find(event.data.fd);
        if (found != watchers_.end()) found->second->on_ready(event.data.fd, event.events);
    }
}

}  // namespace noclash::health
