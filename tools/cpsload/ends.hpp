// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "engine/base/address.hpp"

namespace noclash::cpsload {

/// Who a frame is from and to; ports in host order.
struct Ends {
    V4Address source;
    V4Address destination;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;

    [[nodiscard]] Ends inverse() const {
        return {destination, source, destination_port, source_port};
    }
    friend bool operator==(const Ends&, const Ends&) = default;
};

}  // namespace noclash::cpsload
