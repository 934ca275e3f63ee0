// SPDX-License-Identifier: Apache-2.0
#include "nat/policy/identities.hpp"

#include <stdexcept>

namespace noclash::nat {

std::uint16_t Names::id_of(std::string_view name) {
    const auto [place, is_new] =
        ids_.try_emplace(std::string(name), static_cast<std::uint16_t>(names_.size()));
    if (!is_new) return place->second;
    if (names_.size() == most_) {
        ids_.erase(place);
        throw std::length_error("more than " + std::to_string(most_) + " names");
    }
    names_.emplace_back(name);
    return place->second;
}

PoolId Identities::pool(std::string_view name) {
    const PoolId id = pools_.id_of(name);
    if (id == pairings_.size()) pairings_.emplace_back();
    return id;
}

}  // namespace noclash::nat
