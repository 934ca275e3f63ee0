// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dpdk/config/config.hpp"
#include "dpdk/config/reader.hpp"

namespace noclash::dpdk {

inline constexpr std::size_t most_services = 16384;
/// Room for a cluster's namespace, service and port.
inline constexpr std::size_t longest_service_name = 160;
inline constexpr std::size_t most_service_ports = 64;  ///< ports and ranges of a service
inline constexpr std::size_t most_backends = 1024;     ///< of a service
inline constexpr std::size_t most_backends_in_all = 262144;
inline constexpr std::uint32_t most_inhibit_failures = 1000;  ///< in a row
inline constexpr std::uint32_t longest_inhibit_s = 86'400;

/// Reads one service, from the file or from anywhere else, and notes what is wrong with it by
/// itself. Whether it gets on with all others is a question for `ServiceConflicts`.
/// @param config  its ports and pools are what the service may name
[[nodiscard]] nat::Service<V4> read_service(const Section& section, const Config& config);

/// Reads the part of a service that is about its SYN proxy.
void read_syn_proxy(const Section& section, nat::Service<V4>& service);

/// `10.2.0.2:80`, or `10.2.0.2` for the port that the client asked for; nothing when the text is no
/// address that a host may have.
[[nodiscard]] std::optional<nat::Backend<V4>> parse_backend(std::string_view text);

/// What a backend is written as, for messages.
inline constexpr std::string_view backend_form =
    "the address of a host, with a port or without, as \"10.2.0.2:80\"";

}  // namespace noclash::dpdk
