// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "bench/life.hpp"
#include "bench/memory_use.hpp"

namespace noclash::bench {

enum class Operation : std::uint8_t {
    set_up,
    set_up_contended,
    find_hit,
    find_miss,
    churn,
    release,
};

/// As names of benchmarks have it.
[[nodiscard]] inline const char* to_string(Operation operation) {
    static constexpr std::array names{"set_up", "set_up_contended", "find_hit", "find_miss",
                                      "churn",  "release"};
    return names[static_cast<std::size_t>(operation)];
}

/// The fate of the table after an operation.
enum class Afterwards : std::uint8_t { keep, drop };

/// A table that takes part, whatever its type.
class Contestant {
  public:
    virtual ~Contestant() = default;
    [[nodiscard]] virtual const char* name() const = 0;
    /// On the table that the scenario's earlier operations have left; fills one when there is none.
    virtual Measured run(Operation operation, const Scenario& scenario, Afterwards afterwards) = 0;
    /// By how much this process grows when a table made for `flows` flows gets them.
    [[nodiscard]] virtual std::uint64_t growth(std::uint32_t flows) const = 0;
};

template <FlowTableUnderTest Table>
class ContestantOf final : public Contestant {
  public:
    [[nodiscard]] const char* name() const override { return Table::name; }

    Measured run(Operation operation, const Scenario& scenario, Afterwards afterwards) override {
        const bool fresh =
            operation == Operation::set_up || operation == Operation::set_up_contended;
        if (fresh || life_ == nullptr || life_->scenario() != scenario) {
            life_.reset();
            life_ = std::make_unique<Life<Table>>(scenario);
            if (!fresh) life_->set_up();
        }
        const Measured measured = run(operation);
        if (afterwards == Afterwards::drop) life_.reset();
        return measured;
    }

    [[nodiscard]] std::uint64_t growth(std::uint32_t flows) const override {
        const std::vector<FlowKeys> keys = flow_keys(flows, Order::random);
        Table(burst_size, 1);  // what comes once a process is not counted: DPDK's EAL
        const std::uint64_t before = resident_bytes();
        Table table(flows, 1);
        typename Table::Worker worker(table, 0);
        worker.online();
        std::array<FlowId, burst_size> made{};
        for (std::size_t at = 0; at < flows; at += burst_size) {
            const std::size_t size = std::min<std::size_t>(burst_size, flows - at);
            worker.set_up({&keys[at], size}, {made.data(), size}, 0);
            worker.end_burst(0);
        }
        expect(table.live_flows() == flows, "flows are missing");
        return resident_bytes() - before;
    }

  private:
    Measured run(Operation operation) {
        switch (operation) {
            case Operation::set_up:
                return life_->set_up();
            case Operation::set_up_contended:
                return life_->set_up_contended();
            case Operation::find_hit:
                return life_->find_hit();
            case Operation::find_miss:
                return life_->find_miss();
            case Operation::churn:
                return life_->churn();
            case Operation::release:
                return life_->release();
        }
        return {};
    }

    std::unique_ptr<Life<Table>> life_;
};

}  // namespace noclash::bench
