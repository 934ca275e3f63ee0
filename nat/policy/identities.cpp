// SPDX-License-Identifier: Apache-2.0
#include "nat/policy/identities.hpp"

#include <stdexcept>

namespace noclash::nat {

Names::Names(const Names& other) : most_(other.most_) {
    const std::scoped_lock lock(other.mutex_);
    names_ = other.names_;
    ids_ = other.ids_;
}

const std::string& Names::name_of(std::uint16_t id) const {
    const std::scoped_lock lock(mutex_);
    return names_[id];
}

std::size_t Names::size() const {
    const std::scoped_lock lock(mutex_);
    return names_.size();
}

std::uint16_t Names::id_of(std::string_view name) {
    const std::scoped_lock lock(mutex_);
    const auto [place, is_new] =
        ids_.try_emplace(std::string(name), static_cast<std::uint16_t>(names_.size()));
    if (!is_new) return place->second;
    if (names_.size() == most_) {
        ids_.erase(place);
        throw std::length_error("more than " + std::to_string(most_) +
                                " names of rules or pools since noclash was started; restart it");
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
