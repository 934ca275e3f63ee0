// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/datapath/address_set.hpp"
#include "dpdk/datapath/prefix_table.hpp"
#include "nat/packet/packet_context.hpp"
#include "nat/router.hpp"

namespace noclash::dpdk {

/// Static routes and the ports' own subnets. Fixed once built; lookups by any thread, without
/// locks.
class Routes {
  public:
    /// @throws std::runtime_error when there is no memory for the table
    explicit Routes(const Config& config);

    /// Whether such a configuration leads all packets the same way.
    [[nodiscard]] bool are_of(const Config& config) const;

    /// Where to send what is for `address`, in `hop`; false when no route leads there.
    [[nodiscard, gnu::always_inline]] bool route(const V4Address& address,
                                                 nat::Hop<V4>& hop) const {
        const std::uint32_t number = table_.find(address);
        if (number == PrefixTable::none) return false;
        const Target& target = targets_[number];
        // Stored as the one word that `Egress` will load.
        static_assert(offsetof(nat::Hop<V4>, next_hop) == sizeof(std::uint32_t));
        const std::uint64_t direct =
            static_cast<std::uint32_t>(target.hop) | std::uint64_t{address.value.wire()} << 32U;
        const std::uint64_t chosen = target.on_link ? direct : target.hop;
        std::memcpy(static_cast<void*>(&hop), &chosen, sizeof chosen);
        return true;
    }
    /// What lookups read at random.
    [[nodiscard]] std::span<const std::byte> memory() const { return table_.memory(); }

  private:
    struct Target {
        std::uint64_t hop;  ///< a `Hop<V4>`
        bool on_link;       ///< the destination itself is the next hop
        friend auto operator<=>(const Target&, const Target&) = default;
    };
    struct Link {
        Prefix<V4> subnet;  ///< as the port's address
        std::uint16_t mtu;
        friend bool operator==(const Link&, const Link&) = default;
    };

    static std::vector<Link> links_of(const Config& config);
    /// Fills `targets_`, too: many routes have one.
    [[nodiscard]] std::vector<PrefixTable::Entry> entries_of(const Config& config);

    std::vector<Link> links_;  ///< by port
    std::vector<RouteConfig> routes_;
    std::vector<Target> targets_;  ///< by value of `table_`
    PrefixTable table_;
};

/// The router that the pipeline asks: routes, and which addresses are the gateway's own. Fixed once
/// built.
class RouteTable {
  public:
    /// @param previous  of the configuration before this one, whose routes it shares when they are
    ///                  the same; null when there is none
    /// @param retired   addresses that were own once, and that flows still have
    /// @throws std::runtime_error when there is no memory for the routes
    explicit RouteTable(const Config& config, const RouteTable* previous = nullptr,
                        std::span<const V4Address> retired = {});

    /// Where to send what is for `address`, in `hop`; false when no route leads there.
    [[nodiscard, gnu::always_inline]] bool route(const V4Address& address,
                                                 nat::Hop<V4>& hop) const {
        return routes_->route(address, hop);
    }
    /// The same; nothing when no route leads there.
    [[nodiscard]] std::optional<nat::Hop<V4>> route(const V4Address& address) const {
        nat::Hop<V4> hop;
        return route(address, hop) ? std::optional(hop) : std::nullopt;
    }

    [[nodiscard]] V4Address port_address(std::uint16_t port) const {
        return subnets_[port].network;
    }
    /// The port's subnet, as the port's address and its prefix length.
    [[nodiscard]] const Prefix<V4>& subnet(std::uint16_t port) const { return subnets_[port]; }
    [[nodiscard]] std::size_t ports() const { return subnets_.size(); }
    /// The addresses of a port that its link should be told of: its own, and those of pools and
    /// services in its subnet; 256 at most, others are answered for when somebody asks. None that
    /// are retired.
    [[nodiscard]] std::vector<V4Address> own_on(std::uint16_t port) const;

    /// Whether `address` belongs to a port, a pool, a static mapping's outside, a service, or a
    /// dnat rule that names it by address; or did so, and is retired.
    [[nodiscard]] bool is_own(const V4Address& address) const { return own_.contains(address); }
    /// Whether it is own only for the sake of flows that still have it.
    [[nodiscard]] bool is_retired(const V4Address& address) const {
        return !retired_.empty() && std::ranges::binary_search(retired_, address.value.wire());
    }
    /// In network byte order, sorted.
    [[nodiscard]] std::span<const std::uint32_t> retired() const { return retired_; }
    /// All own addresses, retired ones among them.
    [[nodiscard]] std::vector<V4Address> own_addresses() const;
    /// Whether `address` is the broadcast or the network address of a port's subnet.
    [[nodiscard]] bool is_broadcast(const V4Address& address) const;
    /// Whether it is own or such a broadcast.
    [[nodiscard, gnu::always_inline]] bool is_reserved(const V4Address& address) const {
        return reserved_.contains(address);
    }
    /// Whether it is reserved, the target of a dnat rule, the backend of a service, or a static
    /// mapping's inside: packets of translated flows have such an address, but for those that first
    /// packets look like.
    [[nodiscard]] bool is_translated(const V4Address& address) const {
        return translated_.contains(address);
    }

    /// Whether any port asks for the way back to the sources of its packets.
    [[nodiscard]] bool checks_reverse_path() const { return checks_reverse_path_; }
    /// Whether a packet from `source` may come by the port `ingress`, as far as the port asks where
    /// the way back leads (RFC 3704). The default route is a way like others.
    [[nodiscard]] bool has_way_back(const V4Address& source, std::uint16_t ingress) const;

    /// The memory that lookups read at random.
    [[nodiscard]] std::span<const std::byte> memory() const { return routes_->memory(); }

  private:
    void add_own(const V4Address& address);
    void add_reserved(const V4Address& address);
    void collect_translated(const Config& config);

    std::shared_ptr<const Routes> routes_;
    std::vector<Prefix<V4>> subnets_;     ///< by port, as the port's address
    std::vector<std::uint32_t> retired_;  ///< in network byte order, sorted
    AddressSet own_;
    AddressSet reserved_;                    ///< `own_` among them
    AddressSet translated_;                  ///< `reserved_` among them
    std::vector<ReversePath> reverse_path_;  ///< by port
    bool checks_reverse_path_ = false;
};

static_assert(nat::Router<RouteTable, V4>);

}  // namespace noclash::dpdk
