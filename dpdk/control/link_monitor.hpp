// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dpdk/datapath/gateway.hpp"
#include "dpdk/device/link_events.hpp"

namespace noclash::dpdk {

/// Watches the links of all ports on a thread of its own: logs each change once, tells the workers
/// which ports take packets, and asks drivers for what they lost before their counters wrap.
///
/// Netlink reports the kernel's interfaces (af_packet, af_xdp) at once. When such an
/// interface is deleted, its sockets are dead for good, so the device is closed; when one of this
/// name appears, a device is opened anew, its MAC address is announced, and the neighbours that
/// were known are asked for again. Other devices are asked once a second, and only reported.
class LinkMonitor {
  public:
    /// The workers should run: each change waits until all that do have seen it.
    /// @throws std::runtime_error
    explicit LinkMonitor(Gateway& gateway);
    LinkMonitor(const LinkMonitor&) = delete;
    LinkMonitor& operator=(const LinkMonitor&) = delete;
    ~LinkMonitor();

  private:
    void run();
    void take(const LinkNews& news);
    void look(std::uint16_t port);
    void look_at_interface(std::uint16_t port);
    void take_address(std::uint16_t port, const LinkNews& news);
    void note(std::uint16_t port, bool up);
    void lose(std::uint16_t port);
    void reopen(std::uint16_t port);
    void tell(std::uint16_t port, PortState state);
    [[nodiscard]] std::vector<V4Address> neighbors_on(std::uint16_t port) const;

    Gateway& gateway_;
    LinkEvents events_;
    int stop_;                             ///< an event descriptor: readable when it is time to end
    std::vector<PortState> told_;          ///< to the workers, by port
    std::vector<std::string> complaints_;  ///< by port: why it cannot be opened, as logged
    std::thread thread_;
};

}  // namespace noclash::dpdk
