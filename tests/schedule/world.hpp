// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/flow_adoption.hpp"
#include "engine/reservation.hpp"
#include "tests/schedule/ground_truth.hpp"
#include "tests/schedule/place_names.hpp"

namespace noclash::schedule {

using Claim = Reservation<V4, Scheduled>;

/// What a world adopted.
struct Adopted {
    FlowAdoption<V4, Scheduled> flows;
    std::vector<FlowId> spare;
};

/// The table of one run, and how its tuples collide.
struct Shape {
    unsigned workers = 3;
    std::uint32_t flows = 2;
    Collisions collisions = Collisions::equal;
};

/// An original tuple, and one that a flow's answers may carry.
Key original(std::uint32_t number, std::uint16_t zone = 0);
Key reply(std::uint32_t number, std::uint16_t zone = 0);

class World;

/// How far a set-up goes before it is given up.
enum class Until : std::uint8_t { claimed, reserved, published };

/// One virtual worker: runs a program of operations on the engine, each of which is checked. Every
/// operation has to end within a number of steps of its own, plus some for each write of another
/// worker: it may have to try again because others got on, and never because they stand still.
class Actor {
  public:
    Actor(World& world, std::uint16_t id, std::uint64_t seed);

    /// Claims `key` and proposes `replies` in turn. `no_flow` when nothing was published.
    FlowId open(const Key& key, std::span<const Key> replies, Until until = Until::published);
    FlowId open(const Key& key, const Key& reply, Until until = Until::published) {
        return open(key, {&reply, 1}, until);
    }
    /// Claims `key` and takes the reply tuple over from the flow that owns it; may change its mind.
    FlowId succeed(const Key& key, const Key& reply);
    /// Looks the tuple up, and looks at what was found until `rest`.
    Found find(const Key& key);
    /// A packet of the flow came: it lives until `refreshed`.
    void refresh(FlowId id);
    /// Ends a flow that was found and not let go of. False when another one did.
    bool release(FlowId id);
    bool find_and_release(const Key& key);
    /// Between bursts: quiescent, then maintenance. Time passes.
    void rest();

    // The parts of `open`, for who chooses replies otherwise:

    /// Checks what a claim came to. Whether there is one now.
    bool claimed(const Claim& claim, const Key& key, std::uint64_t since);
    FlowId publish(Claim& claim);
    void give_up(const Claim& claim);

    [[nodiscard]] std::uint16_t id() const { return engine_.id(); }
    [[nodiscard]] World& world() { return world_; }
    [[nodiscard]] FlowWorker<V4, Scheduled>& engine() { return engine_; }
    SeededRandom random;

    static constexpr Moment refreshed = 50'000;
    static constexpr std::uint64_t rest_ms = 200;
    static constexpr std::uint64_t lifetime_ms = 600;  ///< without a packet

  private:
    friend class Operation;
    bool reserve(Claim& claim, const Key& reply);

    World& world_;
    FlowWorker<V4, Scheduled> engine_;
};

/// One operation of a worker, from its first step to its last.
class Operation {
  public:
    Operation(Actor& actor, const char* what, std::uint64_t most_steps = 300);
    ~Operation();
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    [[nodiscard]] std::uint64_t since() const { return since_; }

  private:
    const Scheduler& scheduler_;
    unsigned worker_;
    const char* what_;
    std::uint64_t most_steps_;
    std::uint64_t since_;
    std::uint64_t own_before_ = 0;
    std::uint64_t writes_before_ = 0;
};

/// Everything of one run: the table, its workers, the schedule and the truth.
class World final : public Observer {
  public:
    /// @param kept    records that outlive the world, as many as `records_for(shape)`; none: its
    /// own
    /// @param now_ms  the time when it begins
    World(const Shape& shape, std::uint64_t seed, Record* kept = nullptr, std::uint64_t now_ms = 0);
    [[nodiscard]] static std::size_t records_for(const Shape& shape) {
        return Table::records_for(shape.flows, shape.workers);
    }

    /// Adopts the records that another world left, all of which may live.
    [[nodiscard]] Adopted adopt();
    /// The workers take over what was adopted. Before they run.
    void take_over(const Adopted& adopted);
    /// All records that are not in use can be taken, each once; then they are given back.
    void check_free_records();

    void watch(const Key& key) { truth.watch(key); }
    /// Lets every worker run `program` to its end.
    void run(const std::function<void(Actor&)>& program);
    /// Checks the state when everything is over: see world_end.cpp.
    void check_end();

    void look() override { truth.look(); }
    void show(unsigned worker, std::uint64_t step, const Access& access) override;

    [[nodiscard]] Actor& actor(unsigned id) { return *actors[id]; }
    /// After the tuples of `record` were given back.
    void gone(Record& record);

    const Shape shape;
    Events events;
    Scheduler scheduler;
    Table table;
    GroundTruth truth;
    std::vector<std::unique_ptr<Actor>> actors;
    std::uint64_t now_ms;
    std::function<void(Record&)> when_gone;  ///< what stands above the engine

  private:
    void settle();
    void release_all();
    void fill_bucket();

    PlaceNames names_{table};
};

}  // namespace noclash::schedule
