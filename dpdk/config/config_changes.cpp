// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/config_changes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "dpdk/config/entries.hpp"
#include "dpdk/config/moves.hpp"
#include "dpdk/config/settings.hpp"

namespace noclash::dpdk {

namespace {

using Kind = ConfigChange::Kind;
using Changes = std::vector<ConfigChange>;

/// The elements of `values` that `others` lacks.
Values without(const Values& values, const Values& others) {
    const std::unordered_set<std::string_view> known(others.begin(), others.end());
    Values left;
    std::ranges::copy_if(values, std::back_inserter(left),
                         [&](const std::string& value) { return !known.contains(value); });
    return left;
}

std::string_view first_word(std::string_view value) {
    return value.substr(0, value.find(' '));
}

/// Values that went and came with another end: `10.2.0.2:80 -> 10.2.0.2:80 weight 5`. They are
/// taken out of both lists.
Values take_pairs(Values& removed, Values& added) {
    std::unordered_map<std::string_view, std::string_view> came;
    for (const std::string& value : added)
        came.emplace(first_word(value), value);
    Values pairs;
    Values left;
    std::unordered_set<std::string> paired;
    for (std::string& value : removed) {
        const auto other = came.find(first_word(value));
        if (other == came.end()) {
            left.push_back(std::move(value));
            continue;
        }
        pairs.push_back(fmt::format("{} -> {}", value, other->second));
        paired.emplace(other->second);
    }
    removed = std::move(left);
    std::erase_if(added, [&](const std::string& value) { return paired.contains(value); });
    return pairs;
}

/// `300 -> 120`; of lists what came and what went.
std::string words_of(const Setting& before, const Setting& after) {
    const auto one = [](const Setting& setting) {
        return setting.values.empty() ? std::string(setting.nothing) : shown_values(setting.values);
    };
    const bool lists = before.values.size() > 1 || after.values.size() > 1;
    if (!lists || before.values.empty() || after.values.empty())
        return fmt::format("{} -> {}", one(before), one(after));
    Values added = without(after.values, before.values);
    Values removed = without(before.values, after.values);
    if (added.empty() && removed.empty()) return "in another order, or number";
    const Values became = take_pairs(removed, added);
    std::string words;
    const auto tell = [&](std::string_view what, const Values& values) {
        if (values.empty()) return;
        words += fmt::format("{}{} {}", words.empty() ? "" : ", ", what, shown_values(values));
    };
    tell("added", added);
    tell("removed", removed);
    tell("changed", became);
    return words;
}

/// The settings of a table that differ, each a change by itself.
void compare_tables(const Table& before, const Table& after, Changes& changes) {
    for (std::size_t i = 0; i < after.settings.size(); ++i) {
        const Setting& old = before.settings[i];
        const Setting& wanted = after.settings[i];
        if (old.values == wanted.values) continue;
        changes.push_back({Kind::changed, std::string(after.name), std::string(wanted.key),
                           words_of(old, wanted), wanted.reload == Reload::restart});
    }
}

/// `ports_per_subscriber` in the file is three limits; when all of them change alike, it is told as
/// the one key again.
void join_port_limits(Changes& changes) {
    constexpr std::array<std::string_view, 3> keys{
        "tcp_ports_per_subscriber", "udp_ports_per_subscriber", "icmp_ids_per_subscriber"};
    const auto same = [&](const ConfigChange& change, std::string_view key) {
        return change.section == "limits" && change.name == key;
    };
    const auto first = std::search(changes.begin(), changes.end(), keys.begin(), keys.end(), same);
    if (first == changes.end() || first[0].words != first[1].words ||
        first[0].words != first[2].words)
        return;
    first->name = "ports_per_subscriber";
    changes.erase(first + 1, first + 3);
}

/// `action: masquerade -> drop; from: any -> 10.0.0.0/8`; of one kind of reload.
std::string words_of(const Settings& before, const Settings& after, Reload reload) {
    std::string words;
    for (std::size_t i = 0; i < after.size(); ++i) {
        if (after[i].reload != reload || before[i].values == after[i].values) continue;
        words += fmt::format("{}{}: {}", words.empty() ? "" : "; ", after[i].key,
                             words_of(before[i], after[i]));
    }
    return words;
}

/// Whether it matters in which order the entries of an array of tables stand.
enum class Order : std::uint8_t { free, fixed };

/// An array of tables, in two configurations.
struct EntryArray {
    std::string name;
    Order order = Order::free;
    Reload reload = Reload::live;  ///< to add, remove or move an entry
    std::vector<Entry> before, after;
};

std::string place_of(const std::vector<Entry>& entries, std::size_t place) {
    return place == 0 ? "first" : fmt::format("behind {}", entries[place - 1].name);
}

void compare_entries(const EntryArray& array, Changes& changes) {
    const bool restart = array.reload == Reload::restart;
    const auto add = [&](Kind kind, const Entry& entry, std::string words, bool needs_restart) {
        changes.push_back({kind, array.name, entry.name, std::move(words), needs_restart});
    };
    const auto& [name, order, reload, before, after] = array;
    std::unordered_map<std::string_view, std::size_t> places;
    for (std::size_t i = 0; i < before.size(); ++i)
        places.emplace(before[i].name, i);

    std::vector<std::size_t> common;  // places before, in the order of after
    std::vector<bool> stays(before.size());
    for (const Entry& entry : after) {
        if (const auto old = places.find(entry.name); old != places.end()) {
            common.push_back(old->second);
            stays[old->second] = true;
        }
    }
    for (std::size_t i = 0; i < before.size(); ++i)
        if (!stays[i]) add(Kind::removed, before[i], before[i].words, restart);

    const std::vector<bool> moved = moved_elements(common);
    std::size_t next = 0;  // of those in common
    for (std::size_t i = 0; i < after.size(); ++i) {
        const Entry& entry = after[i];
        if (!places.contains(entry.name)) {
            add(Kind::added, entry, entry.words, restart);
            continue;
        }
        const std::size_t old = common[next];
        if (order == Order::fixed && moved[next])
            add(Kind::moved, entry,
                fmt::format("{} -> {}", place_of(before, old), place_of(after, i)), restart);
        for (const Reload kind : {Reload::restart, Reload::live}) {
            std::string words = words_of(before[old].settings, entry.settings, kind);
            if (!words.empty())
                add(Kind::changed, entry, std::move(words), kind == Reload::restart);
        }
        ++next;
    }
}

}  // namespace

std::string_view to_string(Kind kind) {
    constexpr std::array<std::string_view, 4> words{"added", "removed", "changed", "moved"};
    return words[static_cast<std::size_t>(kind)];
}

std::string title_of(const ConfigChange& change) {
    constexpr std::array<std::string_view, 6> arrays{"port", "route", "neighbor",
                                                     "pool", "rule",  "service"};
    if (std::ranges::find(arrays, change.section) != arrays.end())
        return fmt::format("{} {:?}", change.section, change.name);
    return change.section.empty() ? change.name
                                  : fmt::format("[{}] {}", change.section, change.name);
}

std::vector<std::string> restart_titles(const std::vector<ConfigChange>& changes) {
    std::vector<std::string> titles;
    for (const ConfigChange& change : changes) {
        std::string title = title_of(change);
        // A port that was moved and changed has both of its changes side by side.
        if (change.needs_restart && (titles.empty() || titles.back() != title))
            titles.push_back(std::move(title));
    }
    return titles;
}

std::vector<ConfigChange> config_changes(const Config& running, const Config& wanted) {
    Changes changes;
    const std::vector<Table> before = tables_of(running);
    const std::vector<Table> after = tables_of(wanted);
    for (std::size_t i = 0; i < after.size(); ++i)
        compare_tables(before[i], after[i], changes);
    join_port_limits(changes);
    // Ports are known to flows, queues and devices by their places.
    compare_entries({"port", Order::fixed, Reload::restart, ports_of(running), ports_of(wanted)},
                    changes);
    compare_entries({"route", Order::free, Reload::live, routes_of(running), routes_of(wanted)},
                    changes);
    compare_entries(
        {"neighbor", Order::free, Reload::live, neighbors_of(running), neighbors_of(wanted)},
        changes);
    compare_entries({"pool", Order::free, Reload::live, pools_of(running), pools_of(wanted)},
                    changes);
    compare_entries({"rule", Order::fixed, Reload::live, rules_of(running), rules_of(wanted)},
                    changes);
    compare_entries(
        {"service", Order::free, Reload::live, services_of(running), services_of(wanted)}, changes);
    return changes;
}

}  // namespace noclash::dpdk
