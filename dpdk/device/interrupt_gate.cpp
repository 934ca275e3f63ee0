// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/interrupt_gate.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <rte_errno.h>
#include <rte_interrupts.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "dpdk/device/log.hpp"
#include "engine/base/clock.hpp"

namespace noclash::dpdk {

namespace {

constexpr int between_windows_ms = 1;
constexpr int tick_ms = 10;  // between windows, where we cannot see what the thread waits for
constexpr long look_ns = 20'000;
constexpr std::uint64_t patience_ms = 5000;
constexpr int most_descriptors = 4096;
constexpr int nothing = -1;

void nap(long ns) {
    const timespec duration{0, ns};
    ::nanosleep(&duration, nullptr);
}

/// Whether `epoll` is an epoll that waits for `event`. Asks for nothing new: DPDK's own words.
bool waits_for(int epoll, int event) {
    epoll_event same{};
    same.events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP;
    same.data.fd = event;
    return ::epoll_ctl(epoll, EPOLL_CTL_MOD, event, &same) == 0;
}

}  // namespace

struct InterruptGate::State {
    explicit State(std::uint16_t users) : slots(users) {}

    int event = nothing;  ///< ready but while the interrupt thread waits in the gate
    /// On which the interrupt thread waits for all its descriptors; DPDK does not tell us, and
    /// makes another whenever a callback comes or goes.
    int epoll = nothing;
    std::atomic<std::uint64_t> phase{1};
    std::vector<Slot> slots;  ///< by user
    std::atomic<bool> ending{false};
    std::atomic<bool> stays{false};  ///< the interrupt thread, in the gate

    void set_event() const { static_cast<void>(::eventfd_write(event, 1)); }
    void clear_event() const {
        eventfd_t value = 0;
        static_cast<void>(::eventfd_read(event, &value));
    }
    void find_epoll() {
        if (waits_for(epoll, event)) return;
        for (epoll = 0; epoll < most_descriptors; ++epoll)
            if (waits_for(epoll, event)) return;
        epoll = nothing;
    }
};

InterruptGate::InterruptGate(std::uint16_t users) {
    auto state = std::make_unique<State>(users);
    state->event = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    if (state->event < 0)
        throw std::runtime_error(fmt::format("eventfd: {}", std::strerror(errno)));
    rte_intr_handle* handle = ::rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
    const int error = handle == nullptr ? -ENOMEM
                      : ::rte_intr_fd_set(handle, state->event) != 0 ||
                              ::rte_intr_type_set(handle, RTE_INTR_HANDLE_EXT) != 0
                          ? -rte_errno
                          : ::rte_intr_callback_register(handle, callback, state.get());
    ::rte_intr_instance_free(handle);  // it was copied
    if (error != 0) {
        ::close(state->event);
        throw std::runtime_error(
            fmt::format("DPDK takes no interrupt callback: {}", ::rte_strerror(-error)));
    }
    state_ = state.release();
    phase_ = &state_->phase;
    slots_ = state_->slots.data();
}

InterruptGate::~InterruptGate() {
    state_->ending.store(true, std::memory_order_relaxed);
    state_->set_event();
    const std::uint64_t late = now_ms() + patience_ms;
    while (!state_->stays.load(std::memory_order_acquire)) {  // (67)
        if (now_ms() > late) {
            spdlog::warn("a driver's interrupt callback did not end within {} s",
                         patience_ms / 1000);
            return;
        }
        nap(look_ns);
    }
}

/// On the interrupt thread, as everything below.
void InterruptGate::callback(void* argument) {
    State& state = *static_cast<State*>(argument);
    state.phase.fetch_add(1, std::memory_order_release);  // (63)
    state.clear_event();
    wait(state);
    state.set_event();  // DPDK calls us again after the callbacks that are due
    if (!open(state)) stay(state);
}

/// Until a callback is due, or the end has come.
void InterruptGate::wait(State& state) {
    pollfd own{state.event, POLLIN, 0};
    static_cast<void>(::poll(&own, 1, between_windows_ms));
    state.find_epoll();
    std::array<pollfd, 2> either{{{state.event, POLLIN, 0}, {state.epoll, POLLIN, 0}}};
    // poll() ignores a negative descriptor.
    const int timeout = state.epoll == nothing ? tick_ms : -1;
    while (!state.ending.load(std::memory_order_relaxed) &&
           ::poll(either.data(), either.size(), timeout) < 0 && errno == EINTR) {
    }
}

/// Opens a window. False when the end has come, and callbacks may run no more.
bool InterruptGate::open(State& state) {
    const std::uint64_t phase = state.phase.fetch_add(1, std::memory_order_relaxed) + 1;
    std::atomic_thread_fence(std::memory_order_seq_cst);  // (65)
    for (const Slot& slot : state.slots) {
        for (;;) {
            if (state.ending.load(std::memory_order_relaxed)) return false;
            const std::uint64_t seen = slot.seen.load(std::memory_order_acquire);  // (62)
            if (seen == phase || seen == left) break;
            nap(look_ns);
        }
    }
    return !state.ending.load(std::memory_order_relaxed);
}

void InterruptGate::stay(State& state) {
    state.stays.store(true, std::memory_order_release);  // (66)
    for (;;)
        ::pause();
}

}  // namespace noclash::dpdk
