// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "tools/cpsload/counters.hpp"
#include "tools/cpsload/losses.hpp"
#include "tools/cpsload/settings.hpp"

namespace noclash::cpsload {

/// The events until now.
struct Standing {
    const Counters& counters;
    double seconds = 0;  ///< since the start
    double rate = 0;     ///< connections opened a second, since the last line
    std::uint32_t in_flight = 0;
    TesterLosses lost_by_tester;
};
/// A line for people, in the words of the report.
[[nodiscard]] std::string progress_line(const std::string& name, const Standing& standing);

/// Shows the progress on standard error: a line that moves on a terminal, else a line every
/// five seconds. One thread.
class Progress {
  public:
    enum class Mode : std::uint8_t { silent, shown };
    /// `losses` is asked for each line; it may be empty.
    explicit Progress(Mode mode, LossMeter losses = {});
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

    LossMeter losses_;
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
