// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "nat/policy/port_set.hpp"
#include "nat/policy/reserved_ports.hpp"
#include "nat/ports/locality.hpp"

namespace noclash::nat {

/// The addresses and ports that a translated source may be chosen from.
template <class Family>
struct PortOffer {
    std::span<const typename Family::Address> addresses;
    PortSet ports;
    bool preserves_port = false;  ///< the client's port is tried first: port preservation
    const ReservedPorts<Family>* reserved = nullptr;  ///< never chosen, though offered
    Locality<Family> locality{};                      ///< of the replies: a wish
};

}  // namespace noclash::nat
