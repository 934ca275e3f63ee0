// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Services that change while the gateway runs
//
// A service is a part of the policy in force; its backends stand in a table of its own, which
// another table replaces (nat::ServiceBackends). So a change of backends, weights or health builds
// one table, and a change of services themselves another policy:
//
//     work out the whole batch       a fault changes nothing
//     tables: one store for each     or another policy, by one store: Reloader
//     a grace period                 no worker chooses by the old tables any more
//     look at the flows              of services that have lost a backend, or have one that gets no
//                                    new flows: which end, and which of their ends are told
//     keep what commands have made   with the state, for the next process
//
// Passive health replaces tables, too, once a second (nat/policy/inhibition.hpp).

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dpdk/config/service_conflicts.hpp"
#include "dpdk/control/reload.hpp"
#include "dpdk/control/service_changes.hpp"
#include "dpdk/state/kept_services.hpp"

namespace noclash::dpdk {

/// What a batch of changes has done.
struct ServiceOutcome {
    std::size_t changed = 0, unchanged = 0;
    std::uint64_t generation = 0;  ///< of the policy in force afterwards
    std::uint64_t took_ms = 0;
    ReloadOutcome::Flows flows;
};

/// Lists and changes services. Any thread but a worker; changes go one at a time, with reloads.
class ServiceControl {
  public:
    using Between = Reloader::Between;

    /// All outlive this.
    ServiceControl(Gateway& gateway, Reloader& reloader) : gateway_(gateway), reloader_(reloader) {}

    /// The services of the policy in force, as objects.
    [[nodiscard]] std::vector<nlohmann::json> list() const;
    /// @param changes  an array
    /// @throws std::runtime_error whose text is the answer: nothing has changed
    [[nodiscard]] ServiceOutcome change(const nlohmann::json& changes, const Between& between);

    /// Notes that a program which checks backends is alive. When it falls silent, the states that
    /// it has set stay, and the log says so.
    void heard(const std::string& checker);

    /// Takes over what commands of the process before this one have said of backends. Before any
    /// worker runs.
    void restore(const std::vector<KeptBackend>& backends);
    /// Looks after what takes its time: connections to backends that have drained for as long as
    /// they may, backends whose openings fail, and what is to be kept. Once a second.
    void look(const Between& between);

  private:
    using Table = nat::BackendTable<V4>;
    using Shared = std::shared_ptr<const Snapshot>;

    /// A backend of a service, whatever its weight.
    struct BackendName {
        BackendName(std::string of, nat::Backend<V4> with_weight)
            : service(std::move(of)), backend(with_weight) {
            backend.weight = nat::no_weight;
        }
        friend bool operator==(const BackendName&, const BackendName&) = default;
        struct Hash {
            std::size_t operator()(const BackendName& name) const {
                return std::hash<std::string>()(name.service) ^
                       (std::size_t{name.backend.address.value.host()} << 16U | name.backend.port) *
                           0x9e37'79b9'7f4a'7c15U;
            }
        };
        std::string service;
        nat::Backend<V4> backend;
    };
    /// How long connections to a backend that drains may live.
    struct Draining {
        std::uint64_t until_ms;
        bool is_ended = false;  ///< they have been ended, once
    };

    /// A program that checks backends.
    struct Checker {
        std::string name;
        std::uint64_t heard_ms;
        bool is_silent = false;
    };

    void look_at_checkers();
    /// Whether the SYN proxy of a service is on, by its place.
    [[nodiscard]] bool is_guarded(const Snapshot& policy, std::size_t place) const;
    [[nodiscard]] Shared with_services(const Snapshot& before, ServiceChanges& changes);
    void note_draining(const Snapshot& policy);
    void look_at_openings(const Snapshot& policy, const Between& between);
    [[nodiscard]] std::vector<Table::Entry> judged(const nat::Service<V4>& service,
                                                   const Table& table) const;
    [[nodiscard]] KeptServices kept(const Snapshot& policy) const;
    void keep(const Snapshot& policy);

    Gateway& gateway_;
    Reloader& reloader_;
    std::optional<ServiceConflicts> conflicts_;  ///< of the policy with `generation_`
    std::uint64_t generation_ = 0;
    std::unordered_map<BackendName, Draining, BackendName::Hash> draining_;
    std::uint64_t noted_ = 0;  ///< the generation of the policy that `draining_` was taken from
    std::mutex checkers_mutex_;
    std::vector<Checker> checkers_;
    std::uint64_t looked_at_ = 0;  ///< the generation whose inhibitions were looked at
    bool is_to_keep_ = false;      ///< something has changed since it was kept
};

}  // namespace noclash::dpdk
