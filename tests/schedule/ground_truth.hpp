// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "engine/flow_table.hpp"
#include "tests/schedule/events.hpp"
#include "tests/schedule/scheduled.hpp"
#include "tests/schedule/scheduler.hpp"

namespace noclash::schedule {

using Key = Tuple<V4>;
using Table = FlowTable<V4, Scheduled>;
using Record = Table::Record;

/// Knows at every step which flow owns which tuple, and holds against it what the workers are told.
///
/// It looks at the table after each write, unseen by the schedule, and writes down every change of
/// owner. So each answer of the engine can be checked exactly: an operation that lasted from step a
/// to step b may only give an answer that was true at a step between (linearizability; one tuple's
/// history at a time, which is enough, since linearizability is local).
class GroundTruth {
  public:
    GroundTruth(Table& table, const Scheduler& scheduler, Events& events);

    /// Every tuple that the workers use has to be made known before they run.
    void watch(const Key& key);
    /// The flow was adopted as it is: it has been published before this world began.
    void adopts(FlowId id);
    /// Compares the table with what may be, and notes changes of owner.
    void look();

    // The answers that a worker got, and the steps since which it had been asking.
    void claimed(FlowId id, const Key& original, std::uint64_t since);
    void reserved(FlowId id, const Key& reply, std::uint64_t since);
    void refused(const Key& key, Found owner, std::uint64_t since);
    void found(const Key& key, Found answer, std::uint64_t since);

    // The next act of a worker.
    /// @param from  `no_flow`: whichever has the tuple
    void hands_over(FlowId from, FlowId to, const Key& reply);
    /// The flow that had the reply tuple before its heir.
    [[nodiscard]] FlowId predecessor(FlowId heir) const { return flows_[heir].predecessor; }
    void publishes(FlowId id, std::uint16_t rule, Moment expires, std::uint16_t owner);
    void refreshes(FlowId id, Moment expires) { flow(id).expires_too = expires; }
    void gives_up(FlowId id);
    /// The engine says that a live flow's tuples are given back.
    void ended(FlowId id);
    /// Both tuples of a flow have been given back.
    void check_gone(FlowId id);

    /// A worker looks at a flow that it found, until it is quiescent. Nobody may change it then.
    void holds(unsigned worker, Found found, const Key& key);
    void lets_go(unsigned worker) { held_[worker].clear(); }

    [[nodiscard]] Found owner(const Key& key) const { return at(key).spans.back().owner; }
    /// Whether nobody owned the tuple at any step since `since`.
    [[nodiscard]] bool free_since(const Key& key, std::uint64_t since) const;
    [[nodiscard]] FlowId id_of(const Record& record) const;

  private:
    /// From step `from` on, until the next span begins.
    struct Span {
        Found owner;
        std::uint64_t from;
    };
    struct Watched {
        Key key;
        std::uint64_t hash;
        std::vector<Span> spans;
    };
    enum class Phase : std::uint8_t { unused, setup, published, given_up, ended };
    /// The state in which a flow has to be.
    struct Expected {
        Phase phase = Phase::unused;
        std::array<Key, 2> tuples{};
        std::uint16_t rule = 0;
        std::uint16_t owner = 0;
        Moment expires = 0;
        FlowId predecessor = no_flow;
        std::optional<Moment> expires_too;  ///< somebody is about to set it
    };
    struct Held {
        Found found;
        Key key;
    };

    Watched& at(const Key& key);
    [[nodiscard]] const Watched& at(const Key& key) const;
    Expected& flow(FlowId id) { return flows_[id]; }
    template <class Holds>
    [[nodiscard]] bool some_span(const Key& key, std::uint64_t since, Holds&& holds) const;
    void inserted(const Key& key, Found me, std::uint64_t since);
    void changed(Watched& watched, Found now);
    [[nodiscard]] bool inherits(Found before, Found now) const;
    void check_live(FlowId id);
    void check_held();

    Table& table_;
    const Scheduler& scheduler_;
    Events& events_;
    std::vector<Watched> watched_;
    std::vector<Expected> flows_;
    /// Pairs: a flow that ends, and one that may have its reply tuple then.
    std::set<std::pair<FlowId, FlowId>> heirs_;
    std::array<std::vector<Held>, Scheduler::most_workers> held_;
};

}  // namespace noclash::schedule
