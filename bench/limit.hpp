// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "bench/workers.hpp"

namespace noclash::bench {

struct Measured {
    std::uint64_t operations = 0;
    Timed timed;
};

/// A limit of the machine: something that no table can do faster. Its answers are checked as a
/// table's are.
class Limit {
  public:
    Limit() = default;
    virtual ~Limit() = default;
    Limit(const Limit&) = delete;
    Limit& operator=(const Limit&) = delete;

    virtual Measured run(unsigned workers) = 0;
};

}  // namespace noclash::bench
