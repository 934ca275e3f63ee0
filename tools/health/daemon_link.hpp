// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tools/health/daemon.hpp"
#include "tools/health/services.hpp"
#include "tools/noclashctl/client.hpp"

namespace noclash::health {

/// Keeps the daemon's view of health what the checks found, in a thread of its own: a daemon that
/// is stopped delays no check. Each second the thread asks for the services, gives a sign of life,
/// and writes each state that the daemon has not; a state that changes is written at once. When the
/// daemon was away, all states are written again.
class DaemonLink {
  public:
    /// @param on_services  called by the thread when `take_services` has news
    DaemonLink(std::string socket, std::function<void()> on_services);
    DaemonLink(const DaemonLink&) = delete;
    DaemonLink& operator=(const DaemonLink&) = delete;
    /// Returns when the thread has ended: after what the daemon may be silent for, at the latest.
    ~DaemonLink();

    // From any thread.

    /// The services as last listed; nothing when they were taken already.
    [[nodiscard]] std::optional<std::vector<Service>> take_services();
    /// The health of a backend from now on.
    void set(const BackendName& backend, bool up);
    /// The backend is checked no longer; the daemon keeps its state.
    void forget(const BackendName& backend);

  private:
    void run();
    /// One conversation. @throws what `daemon.hpp` says
    void converse(std::unique_lock<std::mutex>& lock);
    void exchange(std::unique_lock<std::mutex>& lock);
    void write(std::unique_lock<std::mutex>& lock);
    void learn(std::vector<Service> services);

    const std::string socket_;
    const std::function<void()> on_services_;

    // The thread's own.
    std::optional<tools::Client> client_;
    std::set<BackendName> listed_;  ///< what the daemon has; no other backend is written
    std::string trouble_;           ///< as logged: what goes on is logged once
    std::map<BackendName, std::string> refusals_;  ///< likewise

    std::mutex mutex_;  ///< guards all that follows
    std::condition_variable changed_;
    std::map<BackendName, bool> states_;
    std::set<BackendName> unwritten_;
    std::optional<std::vector<Service>> services_;
    bool stopping_ = false;

    std::thread thread_;
};

}  // namespace noclash::health
