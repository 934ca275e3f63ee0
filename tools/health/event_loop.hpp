// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <unordered_map>

namespace noclash::health {

/// Told when one of its descriptors is ready.
class Watcher {
  public:
    Watcher() = default;
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;
    virtual ~Watcher() = default;

    /// @param events  of epoll(7). A descriptor that was just closed and opened anew may be called
    /// ready though it is not.
    virtual void on_ready(int fd, std::uint32_t events) = 0;
};

/// Waits for many descriptors (epoll), level-triggered. Of one thread.
class EventLoop {
  public:
    /// @throws std::system_error
    EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;
    ~EventLoop();

    /// Watches, or watches for other events. `watcher` outlives the watch.
    /// @return false, and an errno, when the kernel refuses
    [[nodiscard]] bool watch(int fd, std::uint32_t events, Watcher& watcher);
    /// To be called before the descriptor is closed.
    void unwatch(int fd);

    /// Waits until a descriptor is ready, or until `until_ns` of `now_ns()`, and tells the
    /// watchers.
    void wait(std::uint64_t until_ns);

  private:
    int epoll_;
    std::unordered_map<int, Watcher*> watchers_;
};

inline constexpr std::uint64_t ms_ns = 1'000'000;  ///< nanoseconds of a millisecond

/// Nanoseconds of the monotonic clock.
[[nodiscard]] std::uint64_t now_ns();

}  // namespace noclash::health
