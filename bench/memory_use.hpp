// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

namespace noclash::bench {

/// Resident set of this process.
[[nodiscard]] inline std::uint64_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::uint64_t size = 0, resident = 0;
    statm >> size >> resident;
    if (!statm) throw std::runtime_error("cannot read /proc/self/statm");
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// The result of `measure()` in a process of its own, whose heap nobody has used.
/// Only while this process has one thread.
template <class Measure>
[[nodiscard]] std::uint64_t in_a_child(const Measure& measure) {
    int ends[2] = {};
    if (::pipe(ends) != 0) throw std::runtime_error("pipe failed");
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) {
        std::uint64_t result = 0;
        try {
            result = measure();
        } catch (...) {
            ::_exit(1);
        }
        ::_exit(::write(ends[1], &result, sizeof result) == sizeof result ? 0 : 1);
    }
    ::close(ends[1]);
    std::uint64_t result = 0;
    const bool complete = ::read(ends[0], &result, sizeof result) == sizeof result;
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!complete || status != 0) throw std::runtime_error("a measuring process failed");
    return result;
}

}  // namespace noclash::bench
