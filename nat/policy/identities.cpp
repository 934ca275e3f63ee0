// SPDX-License-Identifier: Apache-2.0
#include "nat/policy/identities.hpp"

#include <stdexcept>
#include <utility>

namespace noclash::nat {

Names::Names(std::size_t most, std::vector<std::string> names)
    : most_(most), names_(std::move(names)) {
    if (names_.size() > most_) throw std::length_error("too many names of rules or pools");
    for (std::size_t i = 0; i < names_.size(); ++i) {
        const auto number = static_cast<std::uint16_t>(i);
        if (names_[i].empty())
            free_.push_back(number);
        else if (!ids_.try_emplace(names_[i], number).second)
            throw std::length_error("two rules or pools with the name " + names_[i]);
    }
}

Names::Names(const Names& other) : most_(other.most_) {
    const std::scoped_lock lock(other.mutex_);
    names_ = other.names_;
    ids_ = other.ids_;
    free_ = other.free_;
}

std::string Names::name_of(std::uint16_t id) const {
    const std::scoped_lock lock(mutex_);
    return id < names_.size() ? names_[id] : std::string();
}

std::vector<std::string> Names::all() const {
    const std::scoped_lock lock(mutex_);
    return names_;
}

std::size_t Names::size() const {
    const std::scoped_lock lock(mutex_);
    return names_.size();
}

std::uint16_t Names::id_of(std::string_view name) {
    const std::scoped_lock lock(mutex_);
    const auto number = free_.empty() ? static_cast<std::uint16_t>(names_.size()) : free_.back();
    const auto [place, is_new] = ids_.try_emplace(std::string(name), number);
    if (!is_new) return place->second;
    if (!free_.empty()) {
        free_.pop_back();
        names_[number] = name;
        return number;
    }
    if (names_.size() == most_) {
        ids_.erase(place);
        throw std::length_error("more than " + std::to_string(most_) +
                                " names of rules or pools, with those that flows still have");
    }
    names_.emplace_back(name);
    return place->second;
}

std::size_t Names::left() const {
    const std::scoped_lock lock(mutex_);
    return most_ - ids_.size();
}

std::vector<std::uint16_t> Names::give_back(const std::vector<bool>& kept) {
    const std::scoped_lock lock(mutex_);
    std::vector<std::uint16_t> given;
    for (auto one = ids_.begin(); one != ids_.end();) {
        const std::uint16_t id = one->second;
        if (id < kept.size() && kept[id]) {
            ++one;
            continue;
        }
        one = ids_.erase(one);
        names_[id].clear();
        given.push_back(id);
    }
    free_.insert(free_.end(), given.begin(), given.end());
    return given;
}

Identities::Identities(IdentityTable kept)
    : rules_(most_rules, std::move(kept.rules)), pools_(most_pools, std::move(kept.pools)) {
    if (kept.pairing_keys.size() != pools_.size())
        throw std::length_error("not one key for each pool");
    for (const Pairing::Key& key : kept.pairing_keys)
        pairings_.emplace_back(key);
    if (kept.service_key != SecretKey{})
        service_key_ = kept.service_key;
    else
        random_bytes(service_key_.data(), sizeof service_key_);
}

IdentityTable Identities::table() const {
    IdentityTable table{rules_.all(), pools_.all(), {}, service_key_};
    for (const Pairing& pairing : pairings_)
        table.pairing_keys.push_back(pairing.key());
    return table;
}

std::vector<RuleId> Identities::give_back(const std::vector<bool>& kept_rules,
                                          const std::vector<bool>& kept_pools) {
    for (const PoolId pool : pools_.give_back(kept_pools))
        pairings_[pool] = Pairing{};
    return rules_.give_back(kept_rules);
}

PoolId Identities::pool(std::string_view name) {
    const PoolId id = pools_.id_of(name);
    if (id == pairings_.size()) pairings_.emplace_back();
    return id;
}

}  // namespace noclash::nat
