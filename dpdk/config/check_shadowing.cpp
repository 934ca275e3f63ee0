// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "dpdk/config/checks.hpp"
#include "dpdk/config/rule_region.hpp"

namespace noclash::dpdk {

namespace {

/// Comparisons of boxes in all: some seconds. Longer lists of rules are not looked at to their end.
constexpr std::size_t most_comparisons = 50'000'000;

/// Which of the packets of a rule, or of one direction of a static mapping, earlier rules take.
struct Cover {
    bool complete = false;
    std::vector<std::size_t> by;  ///< rules that took some
};

class Shadows {
  public:
    explicit Shadows(const Whole& whole) : whole_(whole), regions_(whole.config) {}

    void check() {
        for (std::size_t rule = 0; rule < whole_.rules.size(); ++rule) {
            check_rule(rule);
            if (comparisons_ > most_comparisons || ends_the_list(rule)) return;
        }
    }

  private:
    const nat::Rule<V4>& rule(std::size_t number) const {
        return whole_.config.policy.rules[number];
    }
    bool is_known(std::size_t number) const {
        return !whole_.rules[number].is_faulty() && regions_.of(number).has_value();
    }

    /// Whether it matches all packets, so that no rule behind it is ever reached. Says so.
    bool ends_the_list(std::size_t number) {
        const std::size_t behind = whole_.rules.size() - number - 1;
        if (behind == 0 || !is_known(number)) return false;
        PacketSet rest(regions_.everything());
        for (const PacketBox& box : *regions_.of(number))
            rest.take_away(box);
        if (!rest.empty()) return false;
        whole_.rules[number].warn(
            "action",
            behind == 1 ? std::string("the rule matches every packet: the rule behind it is never "
                                      "reached")
                        : fmt::format("the rule matches every packet: the {} rules behind it are "
                                      "never reached",
                                      behind),
            "move it to the end, or say what it matches (`in`, `from`, `to`, ...)");
        return true;
    }

    void check_rule(std::size_t number) {
        if (!is_known(number)) return;
        std::vector<Cover> covers;
        for (const PacketBox& box : *regions_.of(number))
            covers.push_back(cover(box, number));
        const bool complete = std::ranges::all_of(covers, &Cover::complete);
        if (!complete) {
            if (rule(number).mapping) check_directions(number, covers);
            return;
        }
        std::vector<std::size_t> by;
        for (const Cover& one : covers)
            by.insert(by.end(), one.by.begin(), one.by.end());
        whole_.rules[number].warn("action",
                                  fmt::format("the rule is never reached: {} before it {} all that "
                                              "it matches",
                                              names(by), by.size() == 1 ? "matches" : "match"),
                                  "move the rule up, or leave it out");
    }

    /// Warns where rules before a static mapping take one of its directions, unless they forbid it.
    void check_directions(std::size_t number, const std::vector<Cover>& covers) {
        for (std::size_t i = 0; i < covers.size(); ++i) {
            const Cover& cover = covers[i];
            if (!cover.complete || std::ranges::all_of(cover.by, [&](std::size_t other) {
                    return nat::forbids(rule(other).action);
                }))
                continue;
            whole_.rules[number].warn(
                i == 0 ? "inside" : "outside",
                fmt::format(
                    "{} before it {} all that {}: the mapping has no effect in this direction",
                    names(cover.by), cover.by.size() == 1 ? "matches" : "match",
                    i == 0 ? "`inside` sends" : "is sent to `outside`"),
                "move the rule up");
        }
    }

    /// The part of `box`, which belongs to rule `number`, that rules before it take.
    Cover cover(const PacketBox& box, std::size_t number) {
        PacketSet rest(box);
        Cover found;
        for (std::size_t other = 0; other < number && !rest.empty(); ++other) {
            if (!is_known(other)) continue;
            bool some = false;
            for (const PacketBox& taken : *regions_.of(other))
                some = rest.take_away(taken) || some;
            comparisons_ += regions_.of(other)->size();
            if (some) found.by.push_back(other);
            if (comparisons_ > most_comparisons) return found;
        }
        found.complete = rest.empty();
        return found;
    }

    /// As `rule "a" (line 7)`, or `rules "a" (line 7) and "b" (line 12)`; `by` is made unique.
    std::string names(std::vector<std::size_t>& by) const {
        std::ranges::sort(by);
        by.erase(std::unique(by.begin(), by.end()), by.end());
        constexpr std::size_t most_named = 3;
        std::string text = by.size() == 1 ? "rule " : "rules ";
        for (std::size_t i = 0; i < by.size() && i < most_named; ++i) {
            if (i > 0) text += i + 1 == by.size() ? " and " : ", ";
            text += fmt::format("{:?} (line {})", rule(by[i]).name, whole_.rules[by[i]].line());
        }
        if (by.size() > most_named) text += fmt::format(" and {} more", by.size() - most_named);
        return text;
    }
    std::string names(const std::vector<std::size_t>& by) const {
        auto copy = by;
        return names(copy);
    }

    const Whole& whole_;
    const RuleRegions regions_;
    std::size_t comparisons_ = 0;
};

}  // namespace

void check_shadowing(const Whole& whole) {
    Shadows(whole).check();
}

}  // namespace noclash::dpdk
