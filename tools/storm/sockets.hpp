// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::tools {

/// The common part of the two packets of a step, with the ids 2k and 2k+1.
enum class Sockets : std::uint8_t {
    one_each,  ///< the source port: two connections of a load balancer, from two addresses
    shared,    ///< the whole tuple: two queries of a resolver, A and AAAA, from one socket
};

}  // namespace noclash::tools
