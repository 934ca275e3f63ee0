// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/urgency.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace noclash::dpdk {

namespace {

constexpr std::uint64_t slice_ns = 100'000;  // the shortest that Linux grants

/// As sched_setattr(2) has it; the kernel's header and the C library's sched.h exclude each other.
struct SchedulingAttributes {
    std::uint32_t size;
    std::uint32_t policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime_ns;  ///< of a thread without deadlines: its time slice
    std::uint64_t deadline_ns;
    std::uint64_t period_ns;
};
static_assert(sizeof(SchedulingAttributes) == 48, "the first version's");

/// The calling thread's; all else stays as it is. The C library has no wrapper.
void ask_for_short_slices() {
    SchedulingAttributes attributes{};
    if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
    attributes.runtime_ns = slice_ns;
    ::syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace

void Urgency::begin(std::uint64_t now_ms) {
    since_ms_ = now_ms;
    ask_for_short_slices();
    raise();
}

void Urgency::raise() {
    const sched_param first{1};  // the least urgent of those that run before others
    urgent_ = ::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) == 0;
    lowered_ = false;
}

void Urgency::lower() {
    const sched_param none{0};
    lowered_ = ::sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none) == 0;
    urgent_ = !lowered_;
    ask_for_short_slices();
}

}  // namespace noclash::dpdk
