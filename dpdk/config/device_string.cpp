// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/device_string.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <optional>
#include <utility>

namespace noclash::dpdk {

namespace {

using Result = std::variant<Device, std::string>;

constexpr std::size_t longest_interface = 15;     // IFNAMSIZ less its NUL
constexpr std::size_t longest_device_name = 48;   // well below RTE_DEV_NAME_MAX_LEN and ring names
constexpr std::size_t af_packet_frames = 4096;    // a queue holds so many while its worker naps
constexpr std::size_t packet_socket_header = 66;  // before a frame of a ring: TPACKET2_HDRLEN, gap

constexpr std::array<std::pair<std::string_view, DeviceKind>, 8> kinds{{
    {"af_packet", DeviceKind::af_packet},
    {"af_xdp", DeviceKind::af_xdp},
    {"tap", DeviceKind::tap},
    {"memif", DeviceKind::memif},
    {"ring", DeviceKind::ring},
    {"null", DeviceKind::null},
    {"pci", DeviceKind::pci},
    {"vdev", DeviceKind::vdev},
}};

/// Text that may stand in a device string: a comma would begin another argument.
bool plain(std::string_view text, std::size_t longest) {
    return !text.empty() && text.size() <= longest &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) {
               return std::isgraph(c) != 0 && c != ',' && c != '=' && c != '[' && c != ']' &&
                      c != '"' && c != '(' && c != ')';
           });
}

std::optional<std::string> interface_fault(std::string_view name) {
    if (plain(name, longest_interface) && name.find('/') == std::string_view::npos) return {};
    return fmt::format("{:?} is no name of an interface (1 to {} characters)", name,
                       longest_interface);
}

Result af_packet(const PortConfig& port, std::string_view interface, std::size_t index,
                 std::size_t workers) {
    if (auto fault = interface_fault(interface)) return std::move(*fault);
    // A frame of the ring also holds the kernel's header and a link-layer header with a VLAN tag.
    // The driver wants it no longer than a packet buffer (whose 2 KiB the MTU of 1,500, its most,
    // leaves), and blocks to be filled by frames. Blocks are powers of two of at least a page; the
    // kernel allocates each in one piece.
    const std::size_t frame = std::max<std::size_t>(2048, std::bit_ceil(port.mtu + 128U));
    const std::size_t block = std::max<std::size_t>(frame, 65536);
    Device device{DeviceKind::af_packet, fmt::format("net_af_packet{}", index), "",
                  std::string(interface), ""};
    device.arguments =
        fmt::format("{},iface={},qpairs={},blocksz={},framesz={},framecnt={},qdisc_bypass=1",
                    device.name, interface, workers, block, frame, af_packet_frames);
    device.longest_frame = static_cast<std::uint32_t>(frame - packet_socket_header);
    return device;
}

Result af_xdp(std::string_view interface, std::size_t index, std::size_t workers) {
    if (auto fault = interface_fault(interface)) return std::move(*fault);
    Device device{DeviceKind::af_xdp, fmt::format("net_af_xdp{}", index), "",
                  std::string(interface), ""};
    device.arguments =
        fmt::format("{},iface={},start_queue=0,queue_count={}", device.name, interface, workers);
    return device;
}

Result tap(std::string_view interface, std::size_t index) {
    if (auto fault = interface_fault(interface)) return std::move(*fault);
    Device device{DeviceKind::tap, fmt::format("net_tap{}", index), "", "", ""};
    device.arguments = fmt::format("{},iface={}", device.name, interface);
    return device;
}

Result memif(const PortConfig& port, std::string_view text, std::size_t index) {
    const std::size_t comma = text.find(',');
    const std::string_view socket = text.substr(0, comma);
    const bool server = comma != std::string_view::npos;
    if (server && text.substr(comma + 1) != "server") {
        return fmt::format("{:?} is not known after the socket", text.substr(comma + 1));
    }
    if (!plain(socket, longest_socket_path) || !socket.starts_with('/')) {
        return fmt::format("{:?} is no absolute path of a socket (at most {} characters)", socket,
                           longest_socket_path);
    }
    // rsize is the logarithm of the ring's size; DPDK takes no more than 2^14.
    const int ring = std::clamp(std::bit_width(port.descriptors) - 1, 6, 14);
    Device device{DeviceKind::memif, fmt::format("net_memif{}", index), "", "",
                  server ? std::string(socket) : std::string()};
    device.arguments =
        fmt::format("{},role={},id=0,socket={},socket-abstract=no,bsize=2048,rsize={}", device.name,
                    server ? "server" : "client", socket, ring);
    return device;
}

Result named(DeviceKind kind, std::string_view prefix, std::string_view name,
             std::string_view more) {
    // The name becomes part of the names of rings, which DPDK keeps short.
    constexpr std::size_t longest = 12;
    if (!plain(name, longest)) {
        return fmt::format("{:?} is no name (1 to {} characters)", name, longest);
    }
    Device device{kind, fmt::format("{}{}", prefix, name), "", "", ""};
    device.arguments = device.name + std::string(more);
    return device;
}

Result pci(std::string_view address) {
    // DDDD:BB:DD.F in hexadecimal; the domain may be left out.
    std::string full = address.size() == 7 ? "0000:" + std::string(address) : std::string(address);
    constexpr std::string_view form = "hhhh:hh:hh.h";
    bool fits = full.size() == form.size();
    for (std::size_t i = 0; fits && i < form.size(); ++i) {
        const auto c = static_cast<unsigned char>(full[i]);
        fits = form[i] == 'h' ? std::isxdigit(c) != 0 : full[i] == form[i];
        full[i] = static_cast<char>(std::tolower(c));
    }
    if (!fits || full.back() > '7') {
        return fmt::format("{:?} is no PCI address such as 0000:03:00.0 (see lspci -D)", address);
    }
    return Device{DeviceKind::pci, full, "", "", ""};
}

Result vdev(std::string_view arguments) {
    const std::string_view name = arguments.substr(0, arguments.find(','));
    if (!plain(name, longest_device_name))
        return fmt::format("{:?} names no DPDK device", arguments);
    return Device{DeviceKind::vdev, std::string(name), std::string(arguments), "", ""};
}

}  // namespace

std::string_view kernel_interface(const Device& device) {
    if (!device.interface.empty()) return device.interface;
    // A tap, or a DPDK device string.
    if (device.kind != DeviceKind::tap && device.kind != DeviceKind::vdev) return {};
    constexpr std::string_view key = ",iface=";
    const std::string_view arguments = device.arguments;
    const std::size_t found = arguments.find(key);
    if (found == std::string_view::npos) return {};
    const std::size_t begin = found + key.size();
    return arguments.substr(begin, arguments.find(',', begin) - begin);
}

Result parse_device(const PortConfig& port, std::size_t index, std::size_t workers) {
    const std::string_view text = port.device;
    const std::size_t colon = text.find(':');
    const std::string_view word = text.substr(0, colon);
    const auto* found = std::find_if(kinds.begin(), kinds.end(),
                                     [&](const auto& kind) { return kind.first == word; });
    if (colon == std::string_view::npos || found == kinds.end()) {
        return fmt::format("{:?} names no kind of device", text);
    }
    const std::string_view rest = text.substr(colon + 1);
    switch (found->second) {
        case DeviceKind::af_packet:
            return af_packet(port, rest, index, workers);
        case DeviceKind::af_xdp:
            return af_xdp(rest, index, workers);
        case DeviceKind::tap:
            return tap(rest, index);
        case DeviceKind::memif:
            return memif(port, rest, index);
        case DeviceKind::ring:
            return named(DeviceKind::ring, "net_ring_", rest, "");
        case DeviceKind::null:
            // The driver would otherwise deliver empty packets as fast as it is asked.
            return named(DeviceKind::null, "net_null_", rest, ",no-rx=1");
        case DeviceKind::pci:
            return pci(rest);
        case DeviceKind::vdev:
            return vdev(rest);
    }
    return std::string("names no kind of device");
}

}  // namespace noclash::dpdk
