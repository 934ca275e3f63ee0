// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/link_monitor.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "dpdk/device/log.hpp"
#include "engine/base/clock.hpp"

namespace noclash::dpdk {

namespace {

constexpr int look_ms = 1000;
constexpr long wait_for_workers_ns = 50'000;  // about a nap
constexpr int most_drain_naps = 4000;         // at least 0.2 s
constexpr std::size_t most_asked = 256;       // neighbours asked for at once

void wait_for_workers() {
    const timespec nap{0, wait_for_workers_ns};
    ::nanosleep(&nap, nullptr);
}

}  // namespace

LinkMonitor::LinkMonitor(Gateway& gateway)
    : gateway_(gateway),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      told_(gateway.ports.size(), PortState::up),
      complaints_(gateway.ports.size()) {
    if (stop_ < 0) throw std::runtime_error(fmt::format("eventfd: {}", std::strerror(errno)));
    thread_ = std::thread([this] { run(); });
}

LinkMonitor::~LinkMonitor() {
    static_cast<void>(::eventfd_write(stop_, 1));
    thread_.join();
    ::close(stop_);
}

void LinkMonitor::run() {
    std::uint64_t looked_ms = 0;
    std::array<pollfd, 2> ready{{{events_.descriptor(), POLLIN, 0}, {stop_, POLLIN, 0}}};
    for (;;) {
        const bool complete = events_.read([this](const LinkNews& news) { take(news); });
        const std::uint64_t now = now_ms();
        if (!complete || now - looked_ms >= look_ms) {
            for (std::uint16_t port = 0; port < gateway_.port_count(); ++port)
                look(port);
            looked_ms = now;
        }
        const auto passed = static_cast<int>(now_ms() - looked_ms);
        ::poll(ready.data(), ready.size(), passed < look_ms ? look_ms - passed : 0);
        if (ready[1].revents != 0) return;
    }
}

void LinkMonitor::take(const LinkNews& news) {
    for (std::uint16_t port = 0; port < gateway_.port_count(); ++port) {
        const Port& on = *gateway_.ports[port];
        if (on.interface().empty()) continue;
        if (on.interface_index() == 0) {
            if (news.exists && news.name == on.interface()) reopen(port);
        } else if (news.index == on.interface_index()) {
            if (!news.exists || on.is_orphan()) {
                lose(port);
                reopen(port);  // one of this name may be there already
            } else {
                take_address(port, news);
                note(port, news.up);
            }
        }
    }
}

/// Asks for links that no event tells of, and for what was lost while the kernel's queue was full.
void LinkMonitor::look(std::uint16_t port) {
    const Port& on = *gateway_.ports[port];
    if (!on.interface().empty()) return look_at_interface(port);
    static_cast<void>(on.stats());
    note(port, on.link_up());
}

void LinkMonitor::look_at_interface(std::uint16_t port) {
    const Port& on = *gateway_.ports[port];
    if (on.interface_index() == 0) return reopen(port);
    static_cast<void>(on.stats());
    const auto found = events_.ask(on.interface_index());
    if (!found) return;
    if (!found->exists || on.is_orphan()) {
        lose(port);
        return reopen(port);
    }
    gateway_.links.note_losses(port, found->losses);
    take_address(port, *found);
    note(port, found->up);
}

/// Somebody may give an interface another MAC address, as `ip link set` does.
void LinkMonitor::take_address(std::uint16_t port, const LinkNews& news) {
    if (!news.mac || *news.mac == nat::MacAddress(gateway_.macs[port])) return;
    spdlog::warn("port {}: interface {} has the MAC address {} now",
                 gateway_.config.ports[port].name, news.name, nat::to_string(*news.mac));
    tell(port, PortState::down);  // until it is up again, which is when it is announced
    gateway_.macs[port].set(*news.mac);
}

void LinkMonitor::note(std::uint16_t port, bool up) {
    const Port& on = *gateway_.ports[port];
    const bool first = gateway_.links.status(port).state == LinkState::unknown;
    if (gateway_.links.note(port, up ? LinkState::up : LinkState::down, now_ms()) || (first && !up))
        spdlog::log(up ? spdlog::level::info : spdlog::level::warn, "port {}: link {}",
                    on.config().name, up ? "up again" : "down");
    // Changes of other links are heard of too late to refuse anything: their drivers do.
    if (!on.interface().empty()) tell(port, up ? PortState::up : PortState::down);
}

void LinkMonitor::lose(std::uint16_t port) {
    Port& on = *gateway_.ports[port];
    spdlog::warn("port {}: interface {} has gone; packets to it are dropped until there is one",
                 on.config().name, on.interface());
    gateway_.links.note(port, LinkState::gone, now_ms());
    // Nothing comes any more; what has come is still forwarded.
    tell(port, PortState::down);
    for (int naps = 0; naps < most_drain_naps && on.has_frames(); ++naps)
        wait_for_workers();
    tell(port, PortState::closed);
    on.close();
}

void LinkMonitor::reopen(std::uint16_t port) {
    Port& on = *gateway_.ports[port];
    if (::if_nametoindex(on.interface().c_str()) == 0) return;
    try {
        on.reopen();
    } catch (const std::runtime_error& error) {
        if (complaints_[port] != error.what()) spdlog::error("{}", error.what());
        complaints_[port] = error.what();
        return;
    }
    complaints_[port].clear();
    const nat::MacAddress mac{on.mac()};
    gateway_.macs[port].set(mac);
    gateway_.links.note_reopened(port);
    spdlog::info("port {}: interface {} is there again, with the MAC address {}", on.config().name,
                 on.interface(), nat::to_string(mac));
    look_at_interface(port);
}

void LinkMonitor::tell(std::uint16_t port, PortState state) {
    if (told_[port] == state) return;
    told_[port] = state;
    gateway_.port_states.set(
        port, state, wait_for_workers,
        state == PortState::up ? neighbors_on(port) : std::vector<V4Address>{});
}

/// Those that have been sent to: another machine may answer for them now.
std::vector<V4Address> LinkMonitor::neighbors_on(std::uint16_t port) const {
    std::vector<V4Address> addresses;
    for (const NeighborEntry& entry : gateway_.neighbors.snapshot())
        if (entry.port == port && entry.state == NeighborState::reachable &&
            addresses.size() < most_asked)
            addresses.push_back(entry.address);
    return addresses;
}

}  // namespace noclash::dpdk
