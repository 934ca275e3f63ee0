// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/schedule/ground_truth.hpp"

namespace noclash::schedule {

/// Names words of the table for people who read an interleaving. Places that lie in no object that
/// it knows are told apart by number, in the order in which they are met, so that a run prints the
/// same text each time.
class PlaceNames {
  public:
    explicit PlaceNames(Table& table) : table_(table) {}
    void print(unsigned worker, std::uint64_t step, const Access& access);

  private:
    std::string name(const Access& access);
    std::string name_in_record(const char* place);
    std::string name_elsewhere(const Access& access);

    Table& table_;
    std::map<std::uintptr_t, std::size_t> lines_;  ///< cache lines met, by address
};

}  // namespace noclash::schedule
