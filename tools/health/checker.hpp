// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tools/health/config.hpp"
#include "tools/health/daemon_link.hpp"
#include "tools/health/runner.hpp"
#include "tools/health/services.hpp"
#include "tools/health/standing.hpp"

namespace noclash::health {

/// Checks the backends of all services that have a check, until a signal comes. Of the main thread.
class Checker : private Watcher {
  public:
    /// @param config  outlives it
    /// @param signals  a signalfd: any signal ends the checks
    /// @throws std::runtime_error
    Checker(const Config& config, int signals);
    ~Checker() override;

    void run();

  private:
    struct Subject {
        BackendName name;
        Target target;
        Standing standing;
    };

    void on_ready(int fd, std::uint32_t events) override;
    void take_services();
    void conclude(TargetId id, const Outcome& outcome);
    void report_lateness(std::uint64_t now_ns);

    const Config& config_;
    const int signals_;
    const int news_;  ///< an eventfd: the daemon has listed its services
    bool stopping_ = false;
    Runner runner_;
    std::map<BackendName, TargetId> ids_;
    std::unordered_map<TargetId, Subject> subjects_;
    std::set<std::string> problems_;  ///< as logged
    std::uint64_t report_ns_ = 0;     ///< of lateness, no sooner
    std::uint64_t reported_late_ = 0;
    std::uint64_t reported_begun_ = 0;
    DaemonLink link_;  ///< last: its thread uses the others
};

}  // namespace noclash::health
