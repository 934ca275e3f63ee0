// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

#include "nat/policy/rule_match.hpp"
#include "nat/policy/tuple_space.hpp"

namespace noclash::nat {

/// So many conditions are read one by one as quickly as they are found in a `TupleSpace`.
inline constexpr std::size_t most_listed = 24;

struct AnyRule {
    template <class Family>
    bool operator()(const Rule<Family>&) const {
        return true;
    }
};
/// Rules that leave the destination to what the packet says.
struct NotRedirecting {
    template <class Family>
    bool operator()(const Rule<Family>& rule) const {
        return rule.action != Action::dnat;
    }
};

/// The space of the rules that are `wanted`, by their places in the list; null when they are so few
/// that the list is read as quickly.
/// @throws std::length_error when they are more than a space takes
template <class Wanted, class Family>
[[nodiscard]] std::unique_ptr<const TupleSpace<Family>> space_of(
    std::span<const Rule<Family>> rules) {
    std::size_t count = 0;
    for (const Rule<Family>& rule : rules)
        if (Wanted()(rule)) count += count_conditions(rule);
    if (count <= most_listed) return nullptr;
    if (count > TupleSpace<Family>::most_entries)
        throw std::length_error("too many conditions in rules");
    std::vector<typename TupleSpace<Family>::Entry> entries;
    entries.reserve(count);
    for (std::size_t place = 0; place < rules.size(); ++place) {
        if (!Wanted()(rules[place])) continue;
        for_each_conditions(rules[place], [&](const Conditions<Family>& conditions) {
            entries.push_back({conditions, static_cast<std::uint32_t>(place)});
        });
    }
    return std::make_unique<const TupleSpace<Family>>(entries);
}

/// Which of the `Wanted` rules is the first that matches a packet: the same that reading the list
/// would find. A `forward` rule with `to` before one that translates is what leaves some
/// destinations alone [RFC 6888 REQ-6] [field i].
template <class Family, class Wanted = AnyRule>
class RuleClassifier {
  public:
    /// @param rules  outlive this
    /// @throws std::length_error when they are more than a `TupleSpace` takes
    explicit RuleClassifier(std::span<const Rule<Family>> rules)
        : rules_(rules), space_(space_of<Wanted>(rules)) {}

    /// Null: none matches.
    [[nodiscard, gnu::always_inline]] const Rule<Family>* find(const Tuple<Family>& tuple,
                                                               std::uint16_t ingress_port) const {
        if (space_) [[unlikely]]
            return find_in_space(tuple, ingress_port);
        for (const Rule<Family>& rule : rules_)
            if (Wanted()(rule) && matches(rule, tuple, ingress_port)) return &rule;
        return nullptr;
    }

  private:
    [[nodiscard, gnu::noinline]] const Rule<Family>* find_in_space(
        const Tuple<Family>& tuple, std::uint16_t ingress_port) const {
        const std::uint32_t place = space_->find(tuple, ingress_port);
        return place == no_number ? nullptr : &rules_[place];
    }

    std::span<const Rule<Family>> rules_;
    std::unique_ptr<const TupleSpace<Family>> space_;
};

/// What makes a list of rules more than a `RuleClassifier` takes.
enum class Excess : std::uint8_t {
    combinations,  ///< of `from` and `to`
    shapes,        ///< of what rules ask for: which keys, prefixes of which lengths
};
struct ExcessiveRule {
    std::size_t place;  ///< of the first rule that is too much
    Excess excess;
};

/// Nothing when the list fits.
template <class Family>
[[nodiscard]] std::optional<ExcessiveRule> find_excess(std::span<const Rule<Family>> rules) {
    std::size_t count = 0;
    TupleGroups<Family> groups;
    for (std::size_t place = 0; place < rules.size(); ++place) {
        count += count_conditions(rules[place]);
        if (count > TupleSpace<Family>::most_entries)
            return ExcessiveRule{place, Excess::combinations};
        bool fits = true;
        for_each_conditions(rules[place], [&](const Conditions<Family>& conditions) {
            fits = fits && (GroupFilter<Family>::is_wide(conditions) ||
                            groups.number_of(conditions).has_value());
        });
        if (!fits) return ExcessiveRule{place, Excess::shapes};
    }
    return std::nullopt;
}

}  // namespace noclash::nat
