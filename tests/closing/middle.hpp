// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "engine/production.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "tests/closing/endpoint.hpp"

namespace noclash::closing {

/// The gateway's tracking of one connection: `track` and all that is behind it, as the daemon has
/// them. What it translates and to whom is left out.
class Middle {
  public:
    /// @param pickup  the connection is known from its first segment that is no SYN
    Middle(nat::TcpWindow mode, bool pickup) : mode_(mode), pickup_(pickup) {}

    /// Whether the segment is sent on.
    bool pass(Direction direction, const Segment& segment);

    [[nodiscard]] bool is_over() const;
    [[nodiscard]] nat::TcpState state() const {
        return tracked_ ? nat::tcp_state(flow_) : nat::TcpState::none;
    }

  private:
    nat::TcpWindow mode_;
    bool pickup_;
    bool tracked_ = false;
    bool turned_ = false;  ///< the side that opened the flow is not the client
    Flow<V4, Production> flow_{};
};

}  // namespace noclash::closing
