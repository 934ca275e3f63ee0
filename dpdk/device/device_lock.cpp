// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/device_lock.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <thread>

#include "dpdk/config/device_string.hpp"

namespace noclash::dpdk {

namespace {

struct AbstractAddress {
    sockaddr_un address{};
    socklen_t length = 0;

    explicit AbstractAddress(std::string_view name) {
        address.sun_family = AF_UNIX;
        // The first byte stays 0: the name is in no file system.
        const std::size_t size = std::min(name.size(), sizeof address.sun_path - 1);
        std::memcpy(address.sun_path + 1, name.data(), size);
        length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + size);
    }
    [[nodiscard]] const sockaddr* get() const {
        return reinterpret_cast<const sockaddr*>(&address);
    }
};

/// The process that listens on a name; nothing when it cannot be told, 0 when it is in a PID
/// namespace that is not seen from here.
std::optional<pid_t> holder_of(const AbstractAddress& name) {
    // A process that has just bound the name listens in a moment.
    for (int tries = 0; tries < 20; ++tries) {
        const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (socket < 0) return std::nullopt;
        ucred peer{};
        socklen_t size = sizeof peer;
        const bool known = ::connect(socket, name.get(), name.length) == 0 &&
                           ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
        const bool refused = errno == ECONNREFUSED;
        ::close(socket);
        if (known) return peer.pid;
        if (!refused) return std::nullopt;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return std::nullopt;
}

[[noreturn]] void refuse(const PortConfig& port, const std::string& device,
                         std::optional<pid_t> holder) {
    std::string who = "another noclash";
    std::string remedy = "stop that one first";
    if (holder && *holder > 0) {
        who = fmt::format("the noclash with pid {}", *holder);
        remedy = fmt::format("stop that one first (`kill {}`)", *holder);
    } else if (holder) {
        who += " in another PID namespace";
    }
    throw std::runtime_error(
        fmt::format("port {} ({}): {} uses {} already, and both would forward every packet; {}, or "
                    "use another device",
                    port.name, port.device, who, device, remedy));
}

}  // namespace

DeviceLock::DeviceLock(const Config& config) {
    try {
        for (std::size_t i = 0; i < config.ports.size(); ++i) {
            const PortConfig& port = config.ports[i];
            const auto parsed = parse_device(port, i, config.workers);
            const auto* device = std::get_if<Device>(&parsed);
            if (device == nullptr) continue;
            if (device->kind == DeviceKind::pci) {
                take(port, "pci/" + device->name, "PCI device " + device->name);
                continue;
            }
            const std::string interface(kernel_interface(*device));
            if (interface.empty()) continue;
            take(port, "interface/" + interface, "interface " + interface);
            if (const unsigned index = ::if_nametoindex(interface.c_str()); index != 0)
                take(port, fmt::format("interface-index/{}", index), "interface " + interface);
        }
    } catch (...) {
        release();
        throw;
    }
}

DeviceLock::~DeviceLock() {
    release();
}

void DeviceLock::take(const PortConfig& port, const std::string& name, const std::string& device) {
    const AbstractAddress address("noclash/" + name);
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0)
        throw std::runtime_error(fmt::format("port {} ({}): cannot lock {}: {}", port.name,
                                             port.device, device, std::strerror(errno)));
    sockets_.push_back(socket);
    if (::bind(socket, address.get(), address.length) != 0) {
        if (errno == EADDRINUSE) refuse(port, device, holder_of(address));
        throw std::runtime_error(fmt::format("port {} ({}): cannot lock {}: {}", port.name,
                                             port.device, device, std::strerror(errno)));
    }
    // Nobody is ever answered: a connection tells its caller who we are.
    static_cast<void>(::listen(socket, SOMAXCONN));
}

void DeviceLock::release() {
    for (const int socket : sockets_)
        ::close(socket);
    sockets_.clear();
}

}  // namespace noclash::dpdk
