// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "tools/cpsload/counters.hpp"
#include "tools/cpsload/settings.hpp"

namespace noclash::cpsload {

/// What happens, on standard error: a line that moves where that is a terminal, else a line every
/// five seconds. One thread.
class Progress {
  public:
    enum class Mode : std::uint8_t { silent, shown };
    explicit Progress(Mode mode);
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    /// Begins counting anew, under this name.
    void start(std::string name, Time now, const Counters& counters);
    /// Shows what has happened, when it is time to.
    void tick(Time now, const Counters& counters, std::uint32_t in_flight) {
        if (now >= next_) show(now, counters, in_flight);
    }
    /// Says a line that stays.
    void say(const std::string& line);

  private:
    void show(Time now, const Counters& counters, std::uint32_t in_flight);
    void clear();

    Time interval_;
    bool terminal_;
    bool shown_ = false;
    Time begin_ = 0;
    Time last_ = 0;
    Time next_ = 0;
    std::uint64_t last_opened_ = 0;
    std::string name_;
};

}  // namespace noclash::cpsload
