// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace noclash::health {

enum class Health : std::uint8_t { unknown, up, down };
/// As the control socket has them, in the order of the enum.
inline constexpr std::array<std::string_view, 3> health_words{"unknown", "up", "down"};

/// The health of a backend, which changes when checks in a row agree: `rise` successes make it up,
/// `fall` failures make it down. A result that agrees with the health ends the row of others.
class Standing {
  public:
    /// @param rise, fall  at least 1
    Standing(std::uint32_t rise, std::uint32_t fall, Health health)
        : rise_(rise), fall_(fall), health_(health) {}

    /// @return whether the health has changed
    bool add(bool success) {
        const bool agrees = success == last_success_;
        last_success_ = success;
        row_ = agrees ? row_ + (row_ < UINT32_MAX ? 1U : 0U) : 1;
        const Health wanted = success ? Health::up : Health::down;
        if (health_ == wanted || row_ < needed()) return false;
        health_ = wanted;
        return true;
    }

    [[nodiscard]] Health health() const { return health_; }
    /// Results in a row that were as the last one.
    [[nodiscard]] std::uint32_t row() const { return row_; }
    /// Results in a row as the last one that change the health.
    [[nodiscard]] std::uint32_t needed() const { return last_success_ ? rise_ : fall_; }

  private:
    std::uint32_t rise_;
    std::uint32_t fall_;
    Health health_;
    bool last_success_ = false;
    std::uint32_t row_ = 0;
};

}  // namespace noclash::health
