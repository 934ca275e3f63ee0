// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "nat/packet/headers.hpp"

struct mnl_socket;

namespace noclash::dpdk {

/// The kernel's own counters of an interface, in its own direction: `ip -s link`.
struct InterfaceLosses {
    std::uint64_t rx_dropped = 0;
    std::uint64_t rx_errors = 0;
    std::uint64_t tx_dropped = 0;
    std::uint64_t tx_errors = 0;
};

/// The kernel's report on one interface of this network namespace.
struct LinkNews {
    unsigned index = 0;
    std::string name;
    bool exists = false;  ///< false: it was deleted, or went to another namespace
    bool up = false;      ///< switched on, and with a carrier
    std::optional<nat::MacAddress> mac;
    InterfaceLosses losses;
};

/// Interfaces as netlink (rtnetlink(7)) tells of them. One thread's own.
class LinkEvents {
  public:
    /// @throws std::runtime_error
    LinkEvents();

    /// Readable while news wait.
    [[nodiscard]] int descriptor() const;

    /// Reads all news that wait, in order, without waiting for more.
    /// @return false when some were lost: ask for what matters
    [[nodiscard]] bool read(const std::function<void(const LinkNews&)>& each);

    /// Nothing when the kernel does not answer.
    [[nodiscard]] std::optional<LinkNews> ask(unsigned interface_index);

  private:
    struct Close {
        void operator()(mnl_socket* socket) const;
    };
    using Socket = std::unique_ptr<mnl_socket, Close>;
    static Socket open(unsigned groups);

    Socket events_;
    Socket questions_;
    std::uint32_t sequence_ = 0;
};

}  // namespace noclash::dpdk
