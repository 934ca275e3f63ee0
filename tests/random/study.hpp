// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <random>
#include <stdexcept>
#include <utility>

#include "tests/random/predictors.hpp"
#include "tests/random/statistics.hpp"

namespace noclash::test {

/// Watches the ports of one destination while as many are allocated as are released. If every
/// allocation takes each free port equally likely, whatever happened before, each of its ranks is
/// uniform and independent of all others, and no guess succeeds more (nor less) often than one in
/// the number of free ports.
class Study {
  public:
    /// @param free  ports at each allocation from `start()` on
    Study(std::uint32_t ports, std::uint32_t free, std::size_t allocations);

    void start() { started_ = true; }
    void allocated(std::uint32_t port);
    void released(std::uint32_t port) { history_.released(port); }

    [[nodiscard]] std::vector<Finding> findings() const;

  private:
    struct Record {
        std::uint64_t guesses = 0, hits = 0;
    };

    std::uint32_t free_;
    bool started_ = false;
    PortHistory history_;
    UniformCount by_port_, by_distance_, by_age_, by_run_;
    std::vector<Predictor> predictors_;
    std::vector<Record> records_;  ///< by predictor
    std::vector<std::uint32_t> ranks_;
};

/// Something that allocates ports of a range, and takes them back.
template <class A>
concept Allocator = requires(A allocator, std::uint16_t port) {
    { allocator.allocate() } -> std::same_as<std::optional<std::uint16_t>>;
    { allocator.release(port) } -> std::same_as<void>;
};

/// Keeps `used` ports of the range allocated, while `allocations` are made and as many random ones
/// released.
template <Allocator A>
std::vector<Finding> study(A& allocator, nat::PortRange range, std::uint32_t used,
                           std::size_t allocations) {
    Study study(range.size(), range.size() - used, allocations);
    std::mt19937 random(1);
    std::vector<std::uint16_t> taken;
    const auto allocate = [&] {
        const auto port = allocator.allocate();
        if (!port) throw std::runtime_error("no port, though some were free");
        study.allocated(static_cast<std::uint32_t>(*port - range.first));
        taken.push_back(*port);
    };
    while (taken.size() < used)
        allocate();
    study.start();
    for (std::size_t i = 0; i < allocations; ++i) {
        allocate();
        std::uniform_int_distribution<std::size_t> any(0, taken.size() - 1);
        std::swap(taken[any(random)], taken.back());
        allocator.release(taken.back());
        study.released(static_cast<std::uint32_t>(taken.back() - range.first));
        taken.pop_back();
    }
    return study.findings();
}

}  // namespace noclash::test
