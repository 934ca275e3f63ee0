// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>

namespace noclash::racelab {

/// "storm 17/184" on a terminal's last line, and nothing where errors go to a file.
class Progress {
  public:
    Progress(std::string what, std::size_t all)
        : what_(std::move(what)), all_(all), shown_(::isatty(STDERR_FILENO) == 1) {}
    ~Progress() {
        if (shown_) std::fputs("\r\033[K", stderr);
    }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void step() {
        ++done_;
        if (!shown_) return;
        fmt::print(stderr, "\r{} {}/{}", what_, done_, all_);
        std::fflush(stderr);
    }

  private:
    std::string what_;
    std::size_t all_;
    std::size_t done_ = 0;
    bool shown_;
};

}  // namespace noclash::racelab
