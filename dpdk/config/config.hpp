// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dpdk/config/error.hpp"
#include "engine/base/address.hpp"
#include "nat/packet/headers.hpp"
#include "nat/policy/limits_config.hpp"
#include "nat/policy/policy_config.hpp"
#include "nat/policy/timeouts.hpp"

namespace noclash::dpdk {

/// The behaviour of an idle worker.
enum class Idle : std::uint8_t {
    poll,  ///< poll on: lowest latency, takes the whole core
    nap,   ///< sleep for some microseconds: shares the core with others
};

enum class HugePages : std::uint8_t { automatic, required, none };

struct MemoryConfig {
    HugePages huge_pages = HugePages::automatic;
    std::uint32_t dpdk_megabytes = 0;  ///< for packet buffers and rings; 0: what the ports need
    std::uint32_t packet_buffers = 0;  ///< 0: what the ports' queues need
};

/// Whether packets that come by a port must have a way back to their sources (RFC 3704).
enum class ReversePath : std::uint8_t {
    off,     ///< nobody asks
    loose,   ///< some route must lead there
    strict,  ///< the route must lead back by the same port
};

/// One `[[port]]`. `device` is `af_packet:IFACE`, `af_xdp:IFACE`, `tap:NAME`, `memif:SOCKET`,
/// `memif:SOCKET,server`, `ring:NAME`, `null:NAME`, `pci:0000:03:00.0`, or `vdev:ARGUMENTS` with a
/// DPDK device string as it stands.
struct PortConfig {
    std::string name;
    std::string device;
    V4Address address;
    std::uint8_t prefix_length = 24;
    std::uint16_t mtu = 1500;
    std::uint16_t descriptors = 1024;  ///< of each RX and TX queue
    ReversePath reverse_path = ReversePath::off;
};

struct RouteConfig {
    Prefix<V4> to;
    V4Address via;
    std::uint16_t port = 0;  ///< index into `ports`; found from `via`
    friend bool operator==(const RouteConfig&, const RouteConfig&) = default;
};

struct NeighborConfig {
    std::uint32_t refresh_s = 15;  ///< a neighbour in use is asked again after so long
    /// How many packets of a worker may wait for addresses of neighbours; for one neighbour: four
    /// fifths.
    std::uint32_t queue_packets = 5120;
    std::uint32_t capacity = 4096;  ///< of each port
};

/// One `[[neighbor]]`: never asked for, never changed.
struct StaticNeighbor {
    V4Address address;
    nat::MacAddress mac;
    std::uint16_t port = 0;  ///< index into `ports`; found from `address`
};

/// Bounds of what a worker keeps of packets that came in parts [RFC 4787 REQ-14].
struct FragmentsConfig {
    std::uint32_t capacity = 2048;    ///< fragments that may wait; 0: none are reassembled
    std::uint32_t per_source = 512;   ///< of those, from one source address: a few large packets
    std::uint32_t timeout_ms = 3000;  ///< from a packet's first fragment to come to its last
};

/// What outlives the process: `[state]`.
struct StateConfig {
    bool keep = false;  ///< flows live on over a restart
    std::string file;   ///< an absolute path; empty: a place is found
};

struct Config {
    std::string file;  ///< where it was read from
    std::string text;  ///< what stood there
    std::string name;  ///< of the instance; empty: it has none
    StateConfig state;
    std::uint32_t flows = 1U << 20;
    std::uint16_t workers = 1;
    std::vector<std::uint16_t> cores;  ///< of the workers; empty: the first allowed ones
    Idle idle = Idle::poll;
    bool reply_locality = false;  ///< ports are chosen so that replies come to their flow's worker
    std::string control_socket = "/run/noclash/control.sock";
    std::string log_level = "info";
    MemoryConfig memory;
    NeighborConfig neighbors;
    std::vector<StaticNeighbor> static_neighbors;
    FragmentsConfig fragments;
    nat::Timeouts timeouts;
    std::vector<PortConfig> ports;
    std::vector<RouteConfig> routes;
    nat::PolicyConfig<V4> policy;
    nat::LimitsConfig<V4> limits;
    /// Settings that work but are hardly meant, in the order of the file.
    std::vector<Finding> warnings;
};

/// The machine that a configuration is checked for.
struct Machine {
    std::vector<unsigned> cpus;  ///< that this process may run on; empty: not known
};
/// As it was when it was first asked for.
[[nodiscard]] Machine this_machine();

/// Reads and checks a configuration file completely, for this machine.
/// @throws ConfigError with every fault found, one a line: `file:line:column: key: what is wrong;
///         what was expected`; and with all warnings.
[[nodiscard]] Config load_config(const std::string& file);

/// The same for text that has been read already; `file` is only its name in faults.
/// @throws ConfigError
[[nodiscard]] Config parse_config(std::string_view text, const std::string& file,
                                  const Machine& machine = {});

}  // namespace noclash::dpdk
