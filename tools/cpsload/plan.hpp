// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tools/cpsload/settings.hpp"

namespace noclash::cpsload {

/// The tuple of the next connection.
struct Pick {
    std::uint32_t number = 0;  ///< of the tuple, to give it back
    V4Address source;
    std::uint16_t source_port = 0;
    std::uint8_t service = 0;
};

/// Walks over all (source address, service, source port), addresses turning fastest and ports
/// slowest, so that a tuple comes again as late as it can; and never while its connection lives.
/// One thread.
class Plan {
  public:
    /// The services are those of `traffic`, the rest is in `settings`; at most 2^31 tuples.
    Plan(const Settings& settings, const Traffic& traffic);

    /// Nothing while all of the next tuples are in use.
    [[nodiscard]] std::optional<Pick> next();
    void give_back(std::uint32_t number) { busy_[number / 64] &= ~(1ULL << number % 64); }

    [[nodiscard]] static std::uint64_t tuples(const Settings& settings, const Traffic& traffic);

  private:
    [[nodiscard]] std::uint16_t port_of(std::uint32_t source) const;
    void advance();

    V4Address first_source_;
    std::uint32_t sources_;
    std::uint32_t services_;
    std::uint32_t ports_;
    std::uint16_t first_port_;
    PortOrder order_;
    std::vector<std::uint32_t> strides_;  // of each source, prime to the number of ports: shuffled
    std::vector<std::uint64_t> busy_;     // a bit for each tuple
    // Where we are.
    std::uint32_t number_ = 0;
    std::uint32_t source_ = 0;
    std::uint32_t service_ = 0;
    std::uint32_t port_ = 0;
};

}  // namespace noclash::cpsload
