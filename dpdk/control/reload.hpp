// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Reload
//
// Another configuration takes the place of the one in force, and no worker waits for it:
//
//     read and check the file, compare it with the one in force    a faulty file changes nothing
//     build its snapshot beside the old one                        shares what has not changed
//     make what its limits need, pin its neighbours                and wait for a grace period
//     one store                                                    each worker takes it next round
//     free the old one after a grace period
//     look at the flows                                            which go on, and which end
//
// All or nothing: a file that changes something which needs a restart is refused as a whole. It is
// done by whoever asks for it, at the lowest priority, one at a time.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dpdk/config/config_changes.hpp"
#include "dpdk/control/flow_flush.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "dpdk/datapath/worker.hpp"
#include "nat/policy/flow_fate.hpp"
#include "nat/policy/service.hpp"

namespace noclash::dpdk {

/// Whether a reload ends the flows that would only live on.
enum class StaleFlows : std::uint8_t { live_on, end };

/// What a reload did, or would do.
struct ReloadOutcome {
    struct Flows {
        std::uint64_t unchanged = 0, live_on = 0, ended = 0;
        void add(nat::FlowFate fate);
    };
    std::vector<ConfigChange> changes;
    std::vector<std::string> warnings;  ///< of the file
    bool applied = false;               ///< false: previewed, or something needs a restart
    std::string file;
    std::uint64_t generation = 0;  ///< of the policy in force afterwards
    std::uint64_t took_ms = 0;
    Flows flows;

    [[nodiscard]] bool needs_restart() const;
};

/// A reload's outcome in one line, for the log.
[[nodiscard]] std::string to_string(const ReloadOutcome& outcome);

/// A policy's configuration with the backends that services have by now: commands change tables,
/// and no policy.
[[nodiscard]] Config current_config(const Snapshot& policy);

/// Puts configurations in force while the gateway runs. Any thread but a worker.
class Reloader {
  public:
    /// Called now and then while it takes long. It may throw before anything has changed.
    using Between = std::function<void()>;

    /// All outlive this.
    Reloader(Gateway& gateway, const std::vector<std::unique_ptr<Worker>>& workers,
             FlowFlush& flush)
        : gateway_(gateway), workers_(workers), flush_(flush) {}

    /// Reads the gateway's file again and puts it in force.
    /// @throws ConfigError      the file is faulty: nothing has changed
    /// @throws std::exception   memory does not suffice: nothing has changed
    [[nodiscard]] ReloadOutcome reload(StaleFlows stale, const Between& between);

    /// What `reload` would do with `file`.
    /// @throws ConfigError
    [[nodiscard]] ReloadOutcome preview(const std::string& file, StaleFlows stale,
                                        const Between& between);

    /// Has the flows of the process before this one go by the policy in force. Before any worker
    /// runs.
    ReloadOutcome::Flows reconcile();

    /// How often a rule has decided since its name got its number.
    [[nodiscard]] std::uint64_t hits(nat::RuleId rule) const;

    /// Gives up retired addresses that no flow has any more. Costs nothing while there are none.
    void give_up_retired(const Between& between);

    // For changes of services, which go one at a time with reloads: with `lock` held.

    using Shared = std::shared_ptr<const Snapshot>;

    [[nodiscard]] std::unique_lock<std::timed_mutex> lock(const Between& between);
    /// Owns nothing when a reload, or a change of services, is at it.
    [[nodiscard]] std::unique_lock<std::timed_mutex> try_lock() {
        return std::unique_lock(mutex_, std::try_to_lock);
    }
    void put_in_force(const Shared& before, const Shared& next);
    /// Has all flows go by `now`. `before` is what they went by.
    [[nodiscard]] ReloadOutcome::Flows settle(const Snapshot& before, const Snapshot& now,
                                              StaleFlows stale, const Between& between,
                                              Workers workers = Workers::run);
    /// Has the flows of services go by the backends that these have now.
    [[nodiscard]] ReloadOutcome::Flows settle_services(const Snapshot& policy,
                                                       const Between& between);
    /// Ends the connections to a backend of a service, as those to one that is gone.
    void end_drained(nat::RuleId service, const nat::Backend<V4>& backend, const Between& between);
    /// A grace period: each worker has begun a round since.
    void wait_for_workers();

  private:
    [[nodiscard]] ReloadOutcome compare(const Snapshot& running, Config& wanted) const;
    void forget_names(const Snapshot& current, const Config& wanted);
    [[nodiscard]] std::uint64_t all_hits(nat::RuleId rule) const;

    Gateway& gateway_;
    const std::vector<std::unique_ptr<Worker>>& workers_;
    FlowFlush& flush_;
    std::timed_mutex mutex_;  ///< one at a time
    /// By number, what its former names had; of those that had none, 0.
    std::vector<std::atomic<std::uint64_t>> former_hits_ =
        std::vector<std::atomic<std::uint64_t>>(gateway_.identities.rules().most());
};

}  // namespace noclash::dpdk
