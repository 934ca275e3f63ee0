// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "dpdk/device/link_events.hpp"

namespace noclash::dpdk {

enum class LinkState : std::uint8_t {
    unknown,  ///< nobody has looked yet
    up,
    down,
    gone,  ///< the interface does not exist
};

[[nodiscard]] constexpr std::string_view to_string(LinkState state) {
    constexpr std::array<std::string_view, 4> names{"unknown", "up", "down", "gone"};
    return names[static_cast<std::size_t>(state)];
}

/// The known state of one port's link.
struct LinkStatus {
    LinkState state = LinkState::unknown;
    std::uint64_t since_ms = 0;  ///< of `now_ms()`
    std::uint64_t changes = 0;   ///< since it was looked at for the first time
    std::uint64_t reopened = 0;  ///< so often its device was opened anew
    InterfaceLosses losses;      ///< of its interface, since the start; 0 where it has none
};

/// The links of all ports: written by the link monitor, read by the control threads for `noclashctl
/// ports`.
class LinkLog {
  public:
    explicit LinkLog(std::size_t ports) : links_(ports), bases_(ports) {}

    /// @return whether that is a change, other than from `unknown`
    bool note(std::size_t port, LinkState state, std::uint64_t now_ms) {
        const std::scoped_lock lock(mutex_);
        LinkStatus& status = links_[port];
        if (status.state == state) return false;
        const bool first = status.state == LinkState::unknown;
        status.state = state;
        status.since_ms = now_ms;
        if (!first) ++status.changes;
        return !first;
    }

    void note_reopened(std::size_t port) {
        const std::scoped_lock lock(mutex_);
        ++links_[port].reopened;
        bases_[port] = {links_[port].losses, {}};
    }

    /// Notes the losses that the port's interface has counted since it exists.
    void note_losses(std::size_t port, const InterfaceLosses& counted) {
        const std::scoped_lock lock(mutex_);
        Base& base = bases_[port];
        if (!base.known) base = {base.before, counted, true};
        const auto since = [](std::uint64_t before, std::uint64_t first, std::uint64_t now) {
            return before + (now > first ? now - first : 0);
        };
        InterfaceLosses& losses = links_[port].losses;
        losses.rx_dropped =
            since(base.before.rx_dropped, base.first.rx_dropped, counted.rx_dropped);
        losses.rx_errors = since(base.before.rx_errors, base.first.rx_errors, counted.rx_errors);
        losses.tx_dropped =
            since(base.before.tx_dropped, base.first.tx_dropped, counted.tx_dropped);
        losses.tx_errors = since(base.before.tx_errors, base.first.tx_errors, counted.tx_errors);
    }

    [[nodiscard]] LinkStatus status(std::size_t port) const {
        const std::scoped_lock lock(mutex_);
        return links_[port];
    }

  private:
    struct Base {
        InterfaceLosses before;  ///< of the port's earlier interfaces
        InterfaceLosses first;   ///< what this one had counted when it was first looked at
        bool known = false;      ///< whether `first` is
    };

    mutable std::mutex mutex_;
    std::vector<LinkStatus> links_;
    std::vector<Base> bases_;
};

}  // namespace noclash::dpdk
