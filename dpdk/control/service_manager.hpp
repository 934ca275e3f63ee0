// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dpdk/control/watchdog.hpp"

namespace noclash::dpdk {

/// The service manager that started the daemon (systemd), as far as it wants to hear of it:
/// sd_notify(3), `Type=notify-reload` of systemd.service(5), sd_watchdog_enabled(3). Without
/// NOTIFY_SOCKET in the environment every call does nothing. The main thread's.
class ServiceManager {
  public:
    /// @param status  what the daemon does when all is well, for people; one line
    explicit ServiceManager(std::string status);

    /// To be called again and again, with a pause of at most `most_pause_ms` in between. Says that
    /// the daemon is ready, once every worker has begun a round, and feeds the watchdog from then
    /// on. Logs which workers stall and so keep the watchdog unfed.
    /// @param rounds_ms  of each worker, when its last round began; 0: it had none yet
    void look(std::span<const std::uint64_t> rounds_ms, std::uint64_t now_ms);
    [[nodiscard]] std::uint64_t most_pause_ms() const;

    /// Around each reload that a signal asks for. `look` may be called between them.
    void reloading();
    /// @param outcome  what came of it, for people; that it failed, too
    void reloaded(const std::string& outcome);

    /// The daemon has begun to end.
    void stopping();

  private:
    void tell(std::string_view state);

    bool listens_;  ///< there is a service manager
    bool ready_ = false;
    bool failed_ = false;  ///< it could not be told something, and the log says so
    std::string status_;
    std::uint64_t deadline_ms_ = 0;  ///< of its watchdog; 0: it has none
    std::optional<Watchdog> watchdog_;
};

/// `text` as the value of a status: one line, UTF-8 when `text` is, and so short that the message
/// fits into what systemd reads (4,096 bytes).
[[nodiscard]] std::string status_line(std::string text);

}  // namespace noclash::dpdk
