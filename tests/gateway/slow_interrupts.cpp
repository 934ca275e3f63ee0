// SPDX-License-Identifier: Apache-2.0

// Preloaded into a daemon with memif ports, makes two races last long enough to be lost for
// certain.
//
//  * SIGURG, which the daemon has no use for: the next worker that touches a peer's memory stops
//    there, in the middle of the driver's receive or transmit function, until that memory is
//    unmapped or a while has passed. Memory that is unmapped under it is what it is without us:
//    SIGSEGV.
//  * The same befalls who touches it while DPDK's interrupt thread receives a message of a peer, or
//    notices its end.
//  * That thread dawdles after it has unmapped memory and before it looks over its descriptors
//    anew, and the process does at its end: what touches memory after rte_eal_cleanup gets the time
//    to do so.

#undef _FILE_OFFSET_BITS  // mmap and mmap64 are two here
#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace {

constexpr int hold_ms = 1500;
constexpr int receive_ms = 20;
constexpr int unmap_ms = 200;
constexpr int rebuild_ms = 200;
constexpr int exit_ms = 1000;

struct Region {
    std::atomic<std::uintptr_t> begin{0};  ///< 0: none
    std::atomic<std::size_t> bytes{0};
};
std::array<Region, 16> regions;
std::atomic<bool> was_used{false};

void sleep_ms(int ms) {
    timespec left{ms / 1000, ms % 1000 * 1'000'000L};
    while (::nanosleep(&left, &left) != 0) {
    }
}

void say(std::string_view text) {
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

bool on_interrupt_thread() {
    std::array<char, 16> name{};
    ::prctl(PR_GET_NAME, name.data());
    return std::strcmp(name.data(), "eal-intr-thread") == 0;
}

template <class Function>
Function* real(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

void on_fault(int number, siginfo_t* info, void* /*context*/) {
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (Region& region : regions) {
        const std::uintptr_t begin = region.begin;
        if (begin == 0 || at < begin || at >= begin + region.bytes) continue;
        say("slow_interrupts: held\n");
        for (int i = 0; i < hold_ms && region.begin == begin; ++i)
            sleep_ms(1);
        if (region.begin != begin) break;
        say("slow_interrupts: released\n");
        ::mprotect(reinterpret_cast<void*>(begin), region.bytes, PROT_READ | PROT_WRITE);
        return;
    }
    say("slow_interrupts: fault\n");
    ::signal(number, SIG_DFL);  // and again, for good
}

void protect_all(int protection) {
    for (Region& region : regions)
        if (region.begin != 0)
            ::mprotect(reinterpret_cast<void*>(region.begin.load()), region.bytes, protection);
}

void on_request(int /*number*/) {
    protect_all(PROT_NONE);
}

__attribute__((constructor)) void begin() {
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    ::sigaction(SIGSEGV, &action, nullptr);
    action = {};
    action.sa_handler = on_request;
    ::sigaction(SIGURG, &action, nullptr);
}

__attribute__((destructor)) void end() {
    if (was_used) sleep_ms(exit_ms);
}

}  // namespace

extern "C" {

void* mmap(void* where, std::size_t bytes, int protection, int flags, int file,
           off_t offset) noexcept {
    void* at = real<decltype(mmap)>("mmap")(where, bytes, protection, flags, file, offset);
    if (at == MAP_FAILED || file < 0 || !on_interrupt_thread()) return at;
    for (Region& region : regions) {
        if (region.begin != 0) continue;
        region.bytes = bytes;
        region.begin = reinterpret_cast<std::uintptr_t>(at);
        was_used = true;
        break;
    }
    return at;
}

void* mmap64(void* where, std::size_t bytes, int protection, int flags, int file,
             off_t offset) noexcept {
    return mmap(where, bytes, protection, flags, file, offset);
}

int munmap(void* at, std::size_t bytes) noexcept {
    for (Region& region : regions) {
        if (region.begin != reinterpret_cast<std::uintptr_t>(at)) continue;
        region.begin = 0;
        const int result = real<decltype(munmap)>("munmap")(at, bytes);
        if (on_interrupt_thread()) {
            protect_all(PROT_READ | PROT_WRITE);
            sleep_ms(unmap_ms);
        }
        return result;
    }
    return real<decltype(munmap)>("munmap")(at, bytes);
}

ssize_t recvmsg(int socket, msghdr* message, int flags) {
    const bool slow = was_used && on_interrupt_thread();
    if (slow) {
        protect_all(PROT_NONE);
        sleep_ms(receive_ms);
    }
    const ssize_t result = real<decltype(recvmsg)>("recvmsg")(socket, message, flags);
    if (slow && result > 0) protect_all(PROT_READ | PROT_WRITE);
    return result;
}

int epoll_create(int size) noexcept {
    if (was_used && on_interrupt_thread()) sleep_ms(rebuild_ms);
    return real<decltype(epoll_create)>("epoll_create")(size);
}
}
