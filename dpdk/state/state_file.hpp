// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "dpdk/state/mapped_file.hpp"
#include "dpdk/state/state_header.hpp"

namespace noclash::dpdk {

/// The records of an instance and the rest of what outlives its process, in one file in memory.
/// Used by one thread; what it maps, by all.
class StateFile {
  public:
    /// Opens the file at `path`, with room for `records` records: with those that another process
    /// has left, or with none.
    /// @throws std::runtime_error when it is no state file or that of another release, when another
    ///         process has it, when it has more live flows than there is room for, or when memory
    ///         is short
    StateFile(const std::string& path, std::size_t records);

    [[nodiscard]] const std::string& path() const { return file_.path(); }
    /// Whether there are records to be adopted.
    [[nodiscard]] bool adopts() const { return adopts_; }
    /// Why what was there has been thrown away; empty: it has not.
    [[nodiscard]] const std::string& lost() const { return lost_; }
    /// Throws away what was there after all.
    /// @param why  as in "FILE: why"
    void begin_anew(const std::string& why);

    [[nodiscard]] StateRecord* records() const {
        return reinterpret_cast<StateRecord*>(file_.data() + state_records_at);
    }
    [[nodiscard]] Lasting& lasting() const {
        return *reinterpret_cast<Lasting*>(file_.data() + state_lasting_at);
    }
    /// When the last process was alive, as `now_ms`.
    [[nodiscard]] std::uint64_t left_ms() const { return left_ms_; }
    [[nodiscard]] const std::array<std::uint64_t, 2>& instance() const { return header().instance; }
    /// This process is alive. About once a second.
    void alive(std::uint64_t now_ms) { header().alive_ms.store(now_ms, std::memory_order_relaxed); }

  private:
    [[nodiscard]] StateHeader& header() const {
        return *reinterpret_cast<StateHeader*>(file_.data());
    }
    void look();
    void fit();
    void make();

    MappedFile file_;
    std::size_t records_;
    bool adopts_ = false;
    std::string lost_;
    std::uint64_t left_ms_ = 0;
};

}  // namespace noclash::dpdk
