// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dpdk/config/checks.hpp"
#include "dpdk/config/rule_region.hpp"
#include "dpdk/config/service_endpoints.hpp"
#include "nat/policy/rule_classifier.hpp"

namespace noclash::dpdk {

namespace {

/// Comparisons of boxes in all: some seconds. Lists that need more are not looked at to their end.
constexpr std::size_t most_comparisons = 50'000'000;

/// Which of the packets of a rule, or of one direction of a static mapping, earlier rules and
/// services take.
struct Cover {
    bool complete = false;
    std::vector<std::size_t> by;           ///< rules that took some
    std::vector<std::size_t> by_services;  ///< which are asked before all rules
};

/// Packets of a box, one after another: its corners, then any.
class PacketsOf {
  public:
    explicit PacketsOf(const PacketBox& box) : box_(box) {
        for (std::uint16_t port = 0; port < 32; ++port)
            if ((box.ingress >> port & 1U) != 0) ingress_.push_back(port);
        for (unsigned protocol = 0; protocol < 256; ++protocol)
            if (box.protocols[protocol]) protocols_.push_back(static_cast<std::uint8_t>(protocol));
    }
    [[nodiscard]] bool empty() const { return ingress_.empty() || protocols_.empty(); }
    [[nodiscard]] std::pair<Tuple<V4>, std::uint16_t> next() {
        Tuple<V4> tuple{};
        tuple.source = V4Address::from_host(one_of(box_.source));
        tuple.destination = V4Address::from_host(one_of(box_.destination));
        tuple.source_port = Be16::from_host(static_cast<std::uint16_t>(one_of(box_.source_port)));
        tuple.destination_port =
            Be16::from_host(static_cast<std::uint16_t>(one_of(box_.destination_port)));
        tuple.protocol = one_of(protocols_);
        const std::uint16_t ingress = one_of(ingress_);
        ++drawn_;
        return {tuple, ingress};
    }

  private:
    std::uint32_t one_of(Interval interval) {
        if (drawn_ == 0) return interval.first;
        if (drawn_ == 1) return interval.last;
        return std::uniform_int_distribution(interval.first, interval.last)(random_);
    }
    template <class Value>
    Value one_of(const std::vector<Value>& values) {
        return values[one_of(Interval{0, static_cast<std::uint32_t>(values.size() - 1)})];
    }

    const PacketBox& box_;
    std::vector<std::uint16_t> ingress_;
    std::vector<std::uint8_t> protocols_;
    std::mt19937 random_;
    unsigned drawn_ = 0;
};

class Shadows {
  public:
    explicit Shadows(const Whole& whole)
        : whole_(whole),
          regions_(whole.config),
          classifier_(std::span<const nat::Rule<V4>>(whole.config.policy.rules)),
          endpoints_(whole.config.ports.size()) {
        const auto& services = whole.config.policy.services;
        for (std::size_t i = 0; i < services.size(); ++i) {
            if (whole.services[i].is_faulty()) continue;
            endpoints_.insert(services[i]);
            vips_.emplace_back(services[i].address.value.host(), i);
        }
        std::ranges::sort(vips_);
    }

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
        const std::vector<PacketBox>& boxes = *regions_.of(number);
        const auto reached = [&](const PacketBox& box) { return is_reached(box, number); };
        if (!rule(number).mapping && std::ranges::any_of(boxes, reached)) return;
        std::vector<Cover> covers;
        for (const PacketBox& box : boxes)
            covers.push_back(reached(box) ? Cover{} : cover(box, number));
        const bool complete = std::ranges::all_of(covers, &Cover::complete);
        if (!complete) {
            if (rule(number).mapping) check_directions(number, covers);
            return;
        }
        std::vector<std::size_t> by, by_services;
        for (const Cover& one : covers) {
            by.insert(by.end(), one.by.begin(), one.by.end());
            by_services.insert(by_services.end(), one.by_services.begin(), one.by_services.end());
        }
        const std::string takers = takers_text(by, by_services);
        whole_.rules[number].warn(
            "action",
            fmt::format("the rule is never reached: {} {} all that it matches", takers,
                        by.size() + by_services.size() == 1 ? "matches" : "match"),
            by.empty() ? "leave the rule out: services are asked before rules"
                       : "move the rule up, or leave it out");
    }

    /// Warns where rules before a static mapping take one of its directions, unless they forbid it.
    void check_directions(std::size_t number, const std::vector<Cover>& covers) {
        for (std::size_t i = 0; i < covers.size(); ++i) {
            const Cover& cover = covers[i];
            const bool forbidden = std::ranges::all_of(
                cover.by, [&](std::size_t other) { return nat::forbids(rule(other).action); });
            if (!cover.complete || (forbidden && cover.by_services.empty())) continue;
            auto by = cover.by, by_services = cover.by_services;
            const std::string takers = takers_text(by, by_services);
            whole_.rules[number].warn(
                i == 0 ? "inside" : "outside",
                fmt::format("{} {} all that {}: the mapping has no effect in this direction",
                            takers, by.size() + by_services.size() == 1 ? "matches" : "match",
                            i == 0 ? "`inside` sends" : "is sent to `outside`"),
                "move the rule up");
        }
    }

    /// Whether the datapath itself gives the rule one of some packets of its `box`. Nearly every
    /// rule is so reached, and is not compared with all before it.
    bool is_reached(const PacketBox& box, std::size_t number) const {
        constexpr unsigned tries = 16;
        PacketsOf packets(box);
        for (unsigned i = 0; i < tries && !packets.empty(); ++i) {
            const auto [tuple, ingress] = packets.next();
            if (classifier_.find(tuple, ingress) == &rule(number) &&
                endpoints_.owner(tuple, ingress) == nullptr)
                return true;
        }
        return false;
    }

    /// The part of `box`, which belongs to rule `number`, that rules before it and services take.
    Cover cover(const PacketBox& box, std::size_t number) {
        // Services are asked first; but many of them would cut what rules are then asked about into
        // too many boxes.
        Cover found;
        PacketSet all(box);
        take_services(box, all, found.by_services);
        found.complete = all.empty();
        if (found.complete) return found;
        found.by_services.clear();
        PacketSet rest(box);
        for (std::size_t other = 0; other < number && !rest.is_settled(); ++other) {
            if (!is_known(other)) continue;
            bool some = false;
            for (const PacketBox& taken : *regions_.of(other))
                some = rest.take_away(taken) || some;
            comparisons_ += regions_.of(other)->size();
            if (some) found.by.push_back(other);
            if (comparisons_ > most_comparisons) return found;
        }
        take_services(box, rest, found.by_services);
        found.complete = rest.empty();
        return found;
    }

    /// Takes what services have of the packets of `box` away from `rest`.
    void take_services(const PacketBox& box, PacketSet& rest, std::vector<std::size_t>& by) {
        auto vip =
            std::ranges::lower_bound(vips_, std::pair(box.destination.first, std::size_t{0}));
        for (; vip != vips_.end() && vip->first <= box.destination.last; ++vip) {
            if (rest.is_settled() || comparisons_ > most_comparisons) return;
            const nat::Service<V4>& service = whole_.config.policy.services[vip->second];
            PacketBox taken = regions_.everything();
            if (service.ingress_port) taken.ingress = 1U << *service.ingress_port;
            taken.protocols = std::bitset<256>().set(service.protocol);
            taken.destination = {vip->first, vip->first};
            bool some = false;
            for (const nat::PortRange range : service.ports) {
                taken.destination_port = {range.first, range.last};
                some = rest.take_away(taken) || some;
            }
            comparisons_ += service.ports.size();
            if (some) by.push_back(vip->second);
        }
    }

    /// As `rules "a" (line 7) and "b" (line 12) before it and service "web" (line 30)`; both lists
    /// are made unique.
    std::string takers_text(std::vector<std::size_t>& by,
                            std::vector<std::size_t>& by_services) const {
        std::string text;
        if (!by.empty())
            text = names("rule", whole_.config.policy.rules, whole_.rules, by) + " before it";
        if (!by_services.empty())
            text += (text.empty() ? "" : " and ") +
                    names("service", whole_.config.policy.services, whole_.services, by_services);
        return text;
    }

    template <class Element>
    static std::string names(std::string_view kind, const std::vector<Element>& elements,
                             const std::vector<Section>& sections, std::vector<std::size_t>& by) {
        std::ranges::sort(by);
        by.erase(std::unique(by.begin(), by.end()), by.end());
        constexpr std::size_t most_named = 3;
        std::string text = fmt::format("{}{} ", kind, by.size() == 1 ? "" : "s");
        for (std::size_t i = 0; i < by.size() && i < most_named; ++i) {
            if (i > 0) text += i + 1 == by.size() ? " and " : ", ";
            text += fmt::format("{:?} (line {})", elements[by[i]].name, sections[by[i]].line());
        }
        if (by.size() > most_named) text += fmt::format(" and {} more", by.size() - most_named);
        return text;
    }

    const Whole& whole_;
    const RuleRegions regions_;
    const nat::RuleClassifier<V4> classifier_;
    ServiceEndpoints endpoints_;
    std::vector<std::pair<std::uint32_t, std::size_t>> vips_;  ///< with their services; sorted
    std::size_t comparisons_ = 0;
};

}  // namespace

void check_shadowing(const Whole& whole) {
    // A list that is too much is refused: `check_sizes`.
    if (nat::find_excess<V4>(whole.config.policy.rules)) return;
    Shadows(whole).check();
}

}  // namespace noclash::dpdk
