// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "engine/base/clock.hpp"

namespace noclash::tools {

namespace {

constexpr std::uint64_t silent_ms = 2000;
constexpr std::uint64_t interval_ms = 250;

}  // namespace

ProgressLine::ProgressLine(std::string done)
    : done_(std::move(done)),
      on_terminal_(::isatty(STDERR_FILENO) != 0),
      next_ms_(now_ms() + silent_ms) {}

void ProgressLine::show(std::uint64_t some, std::uint64_t all) {
    if (!on_terminal_) return;
    const std::uint64_t now = now_ms();
    if (now < next_ms_) return;
    next_ms_ = now + interval_ms;
    shown_ = true;
    fmt::print(stderr, "\r{} {} of {} flows", done_, some, all);
    std::fflush(stderr);
}

void ProgressLine::end() {
    if (shown_) fmt::print(stderr, "\n");
    shown_ = false;
}

}  // namespace noclash::tools
