// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nat/policy/rule_classifier.hpp"

namespace noclash::nat {

/// The static mappings of a list of rules, by either endpoint, whichever rule comes before them.
template <class Family>
class StaticBindings {
  public:
    /// @param rules  outlive this; fit a `RuleClassifier`
    explicit StaticBindings(std::span<const Rule<Family>> rules) {
        for (const Rule<Family>& rule : rules)
            if (rule.mapping) rules_.push_back(&rule);
        if (rules_.size() <= most_listed) return;
        leaves_ = space_of_side(BindingSide::leaves);
        enters_ = space_of_side(BindingSide::enters);
    }

    /// The first mapping whose inside endpoint sends such a packet, or null.
    [[nodiscard]] const StaticMapping<Family>* leaving(const Tuple<Family>& tuple) const {
        return find(leaves_.get(), tuple, &StaticMapping<Family>::leaves);
    }
    /// The first mapping to whose outside endpoint such a packet is sent, or null.
    [[nodiscard]] const StaticMapping<Family>* entering(const Tuple<Family>& tuple) const {
        return find(enters_.get(), tuple, &StaticMapping<Family>::enters);
    }

  private:
    using Space = TupleSpace<Family>;

    [[nodiscard]] std::unique_ptr<const Space> space_of_side(BindingSide side) const {
        std::vector<typename Space::Entry> entries;
        for (const Rule<Family>* rule : rules_) {
            Conditions<Family> conditions = conditions_of(*rule, side);
            conditions.ingress_port.reset();
            entries.push_back({conditions, static_cast<std::uint32_t>(entries.size())});
        }
        return std::make_unique<const Space>(entries);
    }

    [[nodiscard]] const StaticMapping<Family>* find(
        const Space* space, const Tuple<Family>& tuple,
        bool (StaticMapping<Family>::*fits)(const Tuple<Family>&) const) const {
        if (space != nullptr) {
            const std::uint32_t number = space->find(tuple, 0);
            return number == no_number ? nullptr : &*rules_[number]->mapping;
        }
        for (const Rule<Family>* rule : rules_)
            if ((!rule->protocol || *rule->protocol == tuple.protocol) &&
                ((*rule->mapping).*fits)(tuple))
                return &*rule->mapping;
        return nullptr;
    }

    std::vector<const Rule<Family>*> rules_;        ///< that have a mapping
    std::unique_ptr<const Space> leaves_, enters_;  ///< null: few enough to be read
};

}  // namespace noclash::nat
