// SPDX-License-Identifier: Apache-2.0

// Random schedules of two TCP endpoints' segments against the gateway's real tracking. A connection
// must never be over while an end has data or a FIN that the other has not received; and without
// further loss, every connection that both ends close must come to be over.
//
//     closing [SCHEDULES [FIRST_SEED]]     each seed in each mode of `tcp_window`
//     closing --trace SEED MODE            what passes the gateway in one of them

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/closing/schedule.hpp"

namespace {

using noclash::closing::Result;
using noclash::closing::Schedule;
using noclash::nat::TcpWindow;

constexpr unsigned modes = 3;

Result run(std::uint64_t number, bool traced) {
    return Schedule(number / modes, static_cast<TcpWindow>(number % modes), traced).run();
}

}  // namespace

int main(int count, char** words) {
    if (count == 4 && std::strcmp(words[1], "--trace") == 0) {
        const std::uint64_t seed = std::strtoull(words[2], nullptr, 10);
        const Result result = run(seed * modes + std::strtoull(words[3], nullptr, 10), true);
        std::printf("%s\n", result.fault.empty() ? "no fault" : result.fault.c_str());
        return result.fault.empty() ? 0 : 1;
    }
    const std::uint64_t schedules = count > 1 ? std::strtoull(words[1], nullptr, 10) : 100'000;
    const std::uint64_t first = count > 2 ? std::strtoull(words[2], nullptr, 10) : 1;
    std::uint64_t over = 0, reset = 0, faults = 0;
    for (std::uint64_t i = 0; i < schedules && faults < 10; ++i) {
        const std::uint64_t number = first * modes + i;
        const Result result = run(number, false);
        over += result.over ? 1U : 0U;
        reset += result.reset ? 1U : 0U;
        if (result.fault.empty()) continue;
        ++faults;
        std::printf("seed %llu, mode %llu: %s\n", static_cast<unsigned long long>(number / modes),
                    static_cast<unsigned long long>(number % modes), result.fault.c_str());
    }
    std::printf("%llu schedules: %llu came to be over, %llu were reset, %llu faults\n",
                static_cast<unsigned long long>(schedules), static_cast<unsigned long long>(over),
                static_cast<unsigned long long>(reset), static_cast<unsigned long long>(faults));
    // Schedules that seldom come to an end would show nothing.
    return faults == 0 && over > schedules / 2 ? 0 : 1;
}
