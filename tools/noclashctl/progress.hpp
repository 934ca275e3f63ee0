// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace noclash::tools {

/// A line on the terminal that says how far something long has come; nothing where no terminal is,
/// or when it takes less than two seconds.
class ProgressLine {
  public:
    /// @param done  as in "DONE 3 of 10 flows"
    explicit ProgressLine(std::string done);
    void show(std::uint64_t some, std::uint64_t all);
    /// Ends the line.
    void end();

  private:
    std::string done_;
    bool on_terminal_;
    bool shown_ = false;
    std::uint64_t next_ms_;
};

}  // namespace noclash::tools
