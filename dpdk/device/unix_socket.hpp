// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace noclash::dpdk {

/// Removes the socket that a killed process left at `path`, when there is one. `type` is
/// SOCK_STREAM or SOCK_SEQPACKET, as its owner used it.
/// @throws std::runtime_error when somebody listens there, or something else than a socket is there
void remove_stale_socket(const std::string& path, int type);

/// Creates the directory that `path` lies in, and those above it.
/// @throws std::runtime_error
void create_directory_of(const std::string& path);

/// A listening stream socket with mode 0660. Of several processes that start at once, one wins.
/// @throws std::runtime_error as `remove_stale_socket` does, and when the socket cannot be made
[[nodiscard]] int listen_at(const std::string& path);

}  // namespace noclash::dpdk
