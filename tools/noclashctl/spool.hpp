// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace noclash::tools {

/// Writes to a descriptor at its reader's pace, and keeps meanwhile what the reader has not taken:
/// in memory, and from some size on in a temporary file. So a pager may stop for minutes, and the
/// daemon's answer is read at once all the same.
class Spool {
  public:
    /// @param memory_bytes  kept in memory before the file is used
    explicit Spool(int to, std::size_t memory_bytes = 16U << 20);
    Spool(const Spool&) = delete;
    Spool& operator=(const Spool&) = delete;
    ~Spool();

    /// Never waits for the reader.
    /// @throws std::runtime_error when earlier text could not be written, or this one not be kept
    void write(std::string_view text);
    /// Waits until the reader has taken everything.
    /// @throws std::runtime_error when it could not be written
    void drain();

  private:
    void run();
    [[nodiscard]] bool is_pending() const { return !memory_.empty() || read_ < written_; }
    void spill(std::string_view text);
    void take(std::string& piece);
    void check() const;

    const int to_;
    const std::size_t memory_bytes_;
    std::mutex mutex_;  ///< guards all that follows
    std::condition_variable changed_;
    std::string memory_;        ///< older than what the file holds
    int file_ = -1;             ///< has no name
    std::int64_t read_ = 0;     ///< of the file
    std::int64_t written_ = 0;  ///< of the file
    bool writing_ = false;      ///< `thread_` has a piece in its hands
    bool closing_ = false;
    std::string failure_;
    std::thread thread_;
};

}  // namespace noclash::tools
