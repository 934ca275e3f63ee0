// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include "dpdk/config/config.hpp"

namespace noclash::dpdk {

enum class DeviceKind { af_packet, af_xdp, tap, memif, ring, null, pci, vdev };

/// The `device` of a port in DPDK's words.
struct Device {
    DeviceKind kind = DeviceKind::vdev;
    std::string name;       ///< what DPDK calls it, and what its port is found by
    std::string arguments;  ///< `name,key=value,...`: a virtual device; empty for PCI
    std::string interface;  ///< of the kernel, which must exist; empty when none is needed
    std::string socket;     ///< of a memif server, which a killed process leaves behind; or empty
    /// Bytes of a frame that it hands over, without the rest of a longer one; 0: any that it takes.
    std::uint32_t longest_frame = 0;
};

/// The name of the kernel's interface that a device uses or makes; empty when there is none.
[[nodiscard]] std::string_view kernel_interface(const Device& device);

/// The longest path of a Unix socket, in bytes: `sun_path` without its NUL.
inline constexpr std::size_t longest_socket_path = 107;

/// The forms that `device` takes, for messages.
inline constexpr std::string_view device_forms =
    "\"af_packet:IFACE\", \"af_xdp:IFACE\", \"tap:NAME\", \"memif:SOCKET\", "
    "\"memif:SOCKET,server\", \"ring:NAME\", \"null:NAME\", \"pci:0000:03:00.0\" or "
    "\"vdev:ARGUMENTS\"";

/// Translates the `device` of the port that stands at `index`, with a queue for each of `workers`.
/// @return the device, or a text that says what is wrong with it.
[[nodiscard]] std::variant<Device, std::string> parse_device(const PortConfig& port,
                                                             std::size_t index,
                                                             std::size_t workers);

}  // namespace noclash::dpdk
