// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "engine/tuple.hpp"

namespace noclash::bench {

/// The two tuples of a flow, made before anything is timed.
struct FlowKeys {
    Tuple<V4> original;
    Tuple<V4> reply;
};

/// In which order flows come, and are looked up.
enum class Order : std::uint8_t {
    key,     ///< client by client, port by port; lookups in the order of set-up
    random,  ///< all clients mixed; lookups in another random order
};

/// A fixed pseudo-random permutation of 0 .. size-1, without a table of it.
class Permutation {
  public:
    explicit Permutation(std::uint64_t size)
        : size_(size),
          bits_(static_cast<unsigned>(std::bit_width(size - 1))),
          mask_((1ULL << bits_) - 1) {}

    [[nodiscard]] std::uint64_t operator()(std::uint64_t i) const {
        do {  // cycle walking: a bijection of all numbers of `bits_` bits, until it hits the range
            for (const std::uint64_t odd : {0x9e3779b97f4a7c15ULL, 0xd1b54a32d192ed03ULL}) {
                i = (i * odd + 1) & mask_;
                i ^= i >> (bits_ / 2 + 1);
            }
        } while (i >= size_);
        return i;
    }

  private:
    std::uint64_t size_;
    unsigned bits_;
    std::uint64_t mask_;
};

/// Clients of a gateway behind a load balancer: many clients, each from Linux's ephemeral ports,
/// open connections to one virtual address; each is translated to a port of a pool, in no order.
class Clients {
  public:
    explicit Clients(std::uint32_t flows)
        : translated_(std::uint64_t{pool_ports} * (std::uint64_t{flows} * 2 / pool_ports + 1)) {}

    [[nodiscard]] FlowKeys operator()(std::uint32_t number) const {
        FlowKeys keys{};
        keys.original = {V4Address::from_host(0x0a000000U + number / client_ports),
                         V4Address::from_host(0xcb007101U),
                         port(32768U + number % client_ports),
                         port(443),
                         0,
                         6,
                         0};
        const std::uint64_t place = translated_(number);
        keys.reply = {
            V4Address::from_host(0xc0000200U + number % backends),
            V4Address::from_host(0xc6330000U + static_cast<std::uint32_t>(place / pool_ports)),
            port(8443),
            port(1024U + static_cast<std::uint32_t>(place % pool_ports)),
            0,
            6,
            0};
        return keys;
    }

  private:
    static constexpr std::uint32_t client_ports = 28232;  // 32768..60999
    static constexpr std::uint32_t pool_ports = 64512;    // 1024..65535
    static constexpr std::uint32_t backends = 50;

    static Be16 port(std::uint32_t number) {
        return Be16::from_host(static_cast<std::uint16_t>(number));
    }
    Permutation translated_;  // every second port of the pool is in use
};

/// `count` flows, no tuple twice.
[[nodiscard]] inline std::vector<FlowKeys> flow_keys(std::uint32_t count, Order order) {
    const Clients clients(count);
    const Permutation mixed(count);
    std::vector<FlowKeys> keys(count);
    for (std::uint32_t i = 0; i < count; ++i)
        keys[i] = clients(order == Order::key ? i : static_cast<std::uint32_t>(mixed(i)));
    return keys;
}

}  // namespace noclash::bench
