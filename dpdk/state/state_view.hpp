// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "dpdk/state/state_header.hpp"

namespace noclash::dpdk {

/// A state file, seen by who does not own it: nothing in it is changed.
class StateView {
  public:
    /// @throws std::runtime_error when there is none, or it cannot be read
    explicit StateView(std::string path);
    StateView(const StateView&) = delete;
    StateView& operator=(const StateView&) = delete;
    ~StateView();

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::uint64_t size() const { return size_; }
    [[nodiscard]] StateKind kind() const { return kind_; }
    /// The process that has it; nothing: none has. 0: one that cannot be told.
    [[nodiscard]] std::optional<pid_t> user() const;
    /// Keeps others from taking it, as long as this lives. @throws std::runtime_error
    void hold();

    /// Unless the kind is `unfinished` or `foreign`.
    [[nodiscard]] const StateHeader& header() const {
        return *reinterpret_cast<const StateHeader*>(data_);
    }
    /// Of a kind with the layout of this release: `adoptable`, `other_boot`; else none.
    [[nodiscard]] std::span<const StateRecord> records() const;
    [[nodiscard]] const Lasting& lasting() const {
        return *reinterpret_cast<const Lasting*>(data_ + state_lasting_at);
    }

    [[noreturn]] void refuse(const std::string& why) const;

  private:
    std::string path_;
    int descriptor_ = -1;
    std::uint64_t size_ = 0;
    const std::byte* data_ = nullptr;
    StateKind kind_ = StateKind::unfinished;
};

[[nodiscard]] bool is_state_there(const std::string& path);

/// Records by status; and those that may live, by what they are.
struct StateCounts {
    std::array<std::uint64_t, 6> by_status{};  ///< by FlowStatus
    std::uint64_t flows = 0;
    std::uint64_t mappings = 0;
    std::uint64_t permissions = 0;
    std::uint64_t incarnations = 0;

    [[nodiscard]] std::uint64_t all() const {
        return flows + mappings + permissions + incarnations;
    }
};
[[nodiscard]] StateCounts count_records(const StateView& view);

/// Whether a record may live: `live`, or `ending`.
[[nodiscard]] bool may_live(const StateRecord& record);

/// Removes the file, and what is kept beside it.
/// @throws std::runtime_error when a process has it, or it is no state file
void remove_state(const std::string& path);

}  // namespace noclash::dpdk
