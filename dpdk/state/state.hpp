// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "dpdk/config/config.hpp"
#include "dpdk/state/kept_policy.hpp"
#include "dpdk/state/state_file.hpp"
#include "dpdk/state/state_path.hpp"

namespace noclash::dpdk {

/// What outlives the process of an instance that has a name: its flow records, and what is needed
/// to understand them. Used by one thread at a time.
class State {
  public:
    /// Opens what is there, or begins anew. Before any table is made.
    /// @throws std::runtime_error as `StateFile` does
    explicit State(const Config& config);

    [[nodiscard]] const std::string& path() const { return file_.path(); }
    [[nodiscard]] bool adopts() const { return file_.adopts(); }
    /// Why flows that were there have been thrown away; empty: none have.
    [[nodiscard]] const std::string& lost() const { return file_.lost(); }
    [[nodiscard]] StateRecord* records() const { return file_.records(); }
    [[nodiscard]] Lasting& lasting() const { return file_.lasting(); }
    [[nodiscard]] std::uint64_t left_ms() const { return file_.left_ms(); }
    void alive(std::uint64_t now_ms) { file_.alive(now_ms); }

    /// The identities that the records refer to.
    [[nodiscard]] nat::Identities identities() const;
    /// The configuration that was in force last; nothing when there is none that can be read.
    [[nodiscard]] std::optional<Config> configuration_before() const;

    /// What commands had made of services, as text; empty: nothing.
    [[nodiscard]] std::string services_before() const { return before_ ? before_->services : ""; }

    /// Keeps the names that flows may refer to from now on, and the configuration that flows go by.
    /// Before any flow may refer to a new name. @throws std::runtime_error
    void keep(const nat::Identities& identities, const Config& in_force);
    /// Keeps what commands have made of services, from the next `keep` on.
    /// @param services  as `to_text(KeptServices)` writes it
    void set_services(std::string services) { services_ = std::move(services); }

  private:
    StateFile file_;
    std::optional<KeptPolicy> before_;
    std::string services_;
};

}  // namespace noclash::dpdk
