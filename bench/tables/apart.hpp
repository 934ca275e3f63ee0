// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "bench/life.hpp"
#include "bench/tables/noclash_table.hpp"

namespace noclash::bench {

/// The flow engine with nothing that workers share: each has a table of its own, of its share of
/// the capacity. No gateway can do so: two workers would give one reply tuple to two flows.
class ApartTables {
  public:
    static constexpr const char* name = "noclash_apart";
    static constexpr bool expires_flows = true;

    ApartTables(std::uint32_t capacity, unsigned workers) {
        for (unsigned worker = 0; worker < workers; ++worker)
            tables_.push_back(std::make_unique<NoclashTable>(capacity / workers, 1));
    }

    [[nodiscard]] std::uint64_t live_flows() const {
        std::uint64_t sum = 0;
        for (const auto& table : tables_)
            sum += table->live_flows();
        return sum;
    }

    class Worker : public NoclashTable::Worker {
      public:
        Worker(ApartTables& apart, std::uint16_t number)
            : NoclashTable::Worker(*apart.tables_[number], 0) {}
    };

  private:
    std::vector<std::unique_ptr<NoclashTable>> tables_;
};

static_assert(FlowTableUnderTest<ApartTables>);

/// Set-up without a shared table: the difference is the cost of sharing one.
class ApartSetUp final : public Limit {
  public:
    explicit ApartSetUp(std::uint32_t flows) : flows_(flows) {}

    Measured run(unsigned workers) override {
        return Life<ApartTables>({.flows = flows_, .workers = workers}).set_up();
    }

  private:
    std::uint32_t flows_;
};

}  // namespace noclash::bench
