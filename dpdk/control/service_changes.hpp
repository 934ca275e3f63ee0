// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dpdk/config/service_conflicts.hpp"
#include "dpdk/datapath/snapshot.hpp"

namespace noclash::dpdk {

/// A service that a batch of changes is about.
struct ServiceEdit {
    using Entry = nat::BackendTable<V4>::Entry;

    nat::Service<V4> service;             ///< as it shall be
    std::vector<Entry> entries;           ///< likewise
    std::optional<std::uint32_t> before;  ///< its place in the policy in force; nothing: it is new
    bool is_there = true;                 ///< false: it is removed
    bool is_rebuilt = false;       ///< the policy needs another list of services, not just a table
    bool is_changed = false;       ///< its table needs other entries
    bool is_kept_at_once = false;  ///< an operator has said it: the answer comes when it is kept
    bool may_end_flows = false;    ///< a backend left, or gets no new flows any more
};

/// A batch of changes of services, as `noclashctl service` and controllers send it: worked out
/// before anything is put in force, so that all of it is done or nothing.
class ServiceChanges {
  public:
    /// @param policy     the one in force; outlives this
    /// @param conflicts  knows all its services, and learns of the changes; after an exception it
    ///                   is worth nothing
    ServiceChanges(const Snapshot& policy, ServiceConflicts& conflicts);

    /// @param place  how errors name the change: `changes[3]`
    /// @throws std::runtime_error whose text is the answer
    void add(const nlohmann::json& change, const std::string& place);

    [[nodiscard]] std::size_t changed() const { return changed_; }
    [[nodiscard]] std::size_t unchanged() const { return unchanged_; }
    /// By name.
    [[nodiscard]] std::map<std::string, ServiceEdit>& edits() { return edits_; }

  private:
    using Entry = ServiceEdit::Entry;
    class Change;

    void set(const Change& change);
    void remove(const Change& change);
    void set_backend(const Change& change);
    void remove_backend(const Change& change);
    void drain(const Change& change, bool drains);
    void set_health(const Change& change);

    /// The service as the changes before have left it; null when there is none.
    [[nodiscard]] ServiceEdit* find(const std::string& name);
    [[nodiscard]] ServiceEdit& existing(const Change& change);
    [[nodiscard]] ServiceEdit& made_by_command(const Change& change);
    [[nodiscard]] std::size_t backends() const;
    void count(bool is_changed) { ++(is_changed ? changed_ : unchanged_); }

    const Snapshot& policy_;
    ServiceConflicts& conflicts_;
    std::unordered_map<std::string_view, std::uint32_t> places_;  ///< by name
    std::map<std::string, ServiceEdit> edits_;
    std::size_t backends_ = 0, services_ = 0;  ///< with all changes so far
    std::size_t changed_ = 0, unchanged_ = 0;
};

}  // namespace noclash::dpdk
