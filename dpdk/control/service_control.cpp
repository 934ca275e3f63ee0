// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/service_control.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <unordered_map>

#include "dpdk/config/values.hpp"
#include "dpdk/config/words.hpp"
#include "dpdk/state/kept_services.hpp"
#include "engine/base/clock.hpp"
#include "nat/policy/flow_fate.hpp"
#include "nat/policy/inhibition.hpp"

namespace noclash::dpdk {

using nlohmann::json;

namespace {

constexpr std::array<Word, 3> state_words{"active", "draining", "down"};
constexpr std::array<Word, 3> health_words{"unknown", "up", "down"};
constexpr std::array<Word, 4> condition_words{"ok", "draining", "all_down", "no_backend"};

/// For how many seconds the backend is inhibited yet; 0: it is not.
std::uint64_t inhibited_s(const nat::BackendTable<V4>::Entry& entry) {
    if (!entry.inhibited) return 0;
    const std::uint64_t until_ms = entry.counters->results->inhibition.until_ms, now = now_ms();
    return until_ms <= now ? 1 : (until_ms - now + 999) / 1000;  // lifted within a second
}

void add_counters(json& row, const nat::BackendCounters& counters) {
    const nat::OpeningResults& results = *counters.results;
    const auto put = [&](const char* key, const auto& counter) {
        row[key] = counter.load(std::memory_order_relaxed);
    };
    put("openings", counters.openings);
    put("unanswered", counters.unanswered);
    put("refused", results.refused);
    put("reset", results.reset);
    // An opening is counted before its end, but not read so.
    row["half_open"] =
        std::max<std::int64_t>(counters.half_open.load(std::memory_order_relaxed), 0);
    put("late", results.late);
    put("late_ms", results.late_ms);
    put("repeated_answers", results.repeated_answers);
    row["queue_overflow_likely"] =
        nat::queue_overflow_likely(counters.openings.load(std::memory_order_relaxed),
                                   results.late.load(std::memory_order_relaxed) +
                                       results.repeated_answers.load(std::memory_order_relaxed));
    const auto counts = results.answers.counts();
    auto used = counts.size();
    while (used > 0 && counts[used - 1] == 0)
        --used;
    row["answers"] = std::vector(counts.begin(), counts.begin() + static_cast<long>(used));
    const auto percentile = [&](std::uint32_t percent) {
        const auto ms = nat::percentile_ms(counts, percent);
        return ms ? json(*ms) : json();
    };
    row["p50_below_ms"] = percentile(50);
    row["p99_below_ms"] = percentile(99);
}

json row_of(const nat::Service<V4>& service, const nat::BackendTable<V4>& table,
            const Config& config, bool guarded) {
    json row = service_json(service, config);
    row["guarded"] = guarded;
    if (!service.ingress_port) row["in"] = nullptr;
    if (!service.syn_offer) row["syn_offer"] = nullptr;
    if (service.inhibit.failures == 0) row["inhibit"] = false;
    row["origin"] = service.by_command ? "control" : "file";
    row["condition"] = word_of(condition_words, table.condition());
    row["slots"] = 0;
    json backends = json::array();
    const std::vector<std::uint32_t> shares = table.shares();
    std::uint32_t slots = 0;
    for (std::size_t i = 0; i < shares.size(); ++i) {
        const auto& entry = table.entries()[i];
        slots += shares[i];
        backends.push_back({{"backend", backend_text(entry.backend)},
                            {"weight", entry.backend.weight},
                            {"state", word_of(state_words, entry.state())},
                            {"health", word_of(health_words, entry.health)},
                            {"slots", shares[i]},
                            {"inhibited_s", inhibited_s(entry)}});
        add_counters(backends.back(), *entry.counters);
    }
    row["slots"] = slots;
    row["backends"] = std::move(backends);
    return row;
}

/// Logs what clients of a service will notice.
void log_condition(const std::string& service, nat::ServiceCondition before,
                   nat::ServiceCondition now) {
    if (before == now) return;
    switch (now) {
        case nat::ServiceCondition::ok:
            return spdlog::info("service {}: has an active backend again", service);
        case nat::ServiceCondition::draining:
            return spdlog::warn(
                "service {}: no backend is active: new connections go to those that drain",
                service);
        case nat::ServiceCondition::all_down:
            return spdlog::warn(
                "service {}: all active backends are down: new connections go to all of them",
                service);
        case nat::ServiceCondition::no_backend:
            return spdlog::warn("service {}: has no backend: its clients are refused", service);
    }
}

void log_inhibition(const std::string& service, const nat::BackendTable<V4>::Entry& entry,
                    nat::InhibitionStep step) {
    const std::string backend = backend_text(entry.backend);
    switch (step) {
        case nat::InhibitionStep::begins:
            return spdlog::warn(
                "service {}: backend {} refuses new connections, or leaves them unanswered: "
                "inhibited for {} s",
                service, backend, entry.counters->results->inhibition.length_s);
        case nat::InhibitionStep::ends:
            return spdlog::info("service {}: backend {} is tried again", service, backend);
        case nat::InhibitionStep::is_over:
            return spdlog::info("service {}: backend {} is inhibited no more", service, backend);
        case nat::InhibitionStep::none:
            return;
    }
}

constexpr std::uint64_t silent_ms = 10'000;
constexpr std::size_t most_checkers = 16;

}  // namespace

bool ServiceControl::is_guarded(const Snapshot& policy, std::size_t place) const {
    const nat::Service<V4>& service = policy.services[place];
    return service.syn_proxy == nat::SynProxyMode::on ||
           (service.syn_proxy == nat::SynProxyMode::automatic &&
            gateway_.syn_proxy.is_guarded(policy.service_rules.head(place).rule(), now_ms()));
}

std::vector<json> ServiceControl::list() const {
    const Shared policy = gateway_.policy.hold();
    std::vector<json> rows;
    rows.reserve(policy->services.size());
    const auto lock = reloader_.lock([] {});  // tables are not replaced while they are read
    for (std::size_t place = 0; place < policy->services.size(); ++place)
        rows.push_back(row_of(policy->services[place], *policy->service_rules.table(place),
                              policy->config, is_guarded(*policy, place)));
    return rows;
}

ServiceOutcome ServiceControl::change(const json& requested, const Between& between) {
    if (!requested.is_array() || requested.empty())
        throw std::runtime_error("changes: expected an array of changes, at least one");
    const auto lock = reloader_.lock(between);
    const std::uint64_t begun_ms = now_ms();
    const Shared before = gateway_.policy.hold();
    if (!conflicts_ || generation_ != before->generation) {
        const Config config = current_config(*before);
        conflicts_.emplace(config);
        for (const nat::Service<V4>& service : config.policy.services)
            conflicts_->insert(service);
        generation_ = before->generation;
    }
    ServiceChanges changes(*before, *conflicts_);
    Shared next;
    // Another policy costs more, and is needed when services come or go; and where rules without
    // tracking ask for backends' addresses (Router::is_translated).
    const auto is_rebuilt = [&](const ServiceEdit& edit) {
        return edit.is_rebuilt || (edit.is_changed && before->untracked.any());
    };
    try {
        for (std::size_t i = 0; i < requested.size(); ++i)
            changes.add(requested[i], fmt::format("changes[{}]", i));
        if (std::ranges::any_of(changes.edits(),
                                [&](const auto& edit) { return is_rebuilt(edit.second); }))
            next = with_services(*before, changes);
        // Flows may refer to its names from now on. It may fail: no table has changed yet.
        if (next && gateway_.state != nullptr)
            gateway_.state->keep(gateway_.identities, next->config);
    } catch (...) {
        conflicts_.reset();  // it knows of changes that were not made
        throw;
    }
    ServiceOutcome outcome{changes.changed(), changes.unchanged(), before->generation, 0, {}};
    std::vector<std::shared_ptr<const Table>> former;
    bool may_end_flows = false;
    for (auto& [name, edit] : changes.edits()) {
        if (!edit.is_there || !edit.is_changed) continue;
        may_end_flows = may_end_flows || edit.may_end_flows;
        const Snapshot& policy = next ? *next : *before;
        const nat::RuleId id = gateway_.identities.rule(name);
        const std::uint32_t service = policy.find_rule(id)->service;
        former.push_back(policy.service_rules.replace(
            service, std::make_shared<const Table>(std::move(edit.entries),
                                                   gateway_.identities.service_key())));
        if (next && edit.before) before->service_rules.follow(*edit.before);
        const auto was = former.back()->condition(),
                   is = policy.service_rules.table(service)->condition();
        log_condition(name, was, is);
        // Datagrams stay with a backend that drains for as long as no other is active.
        const bool has_recovered = was != is && is == nat::ServiceCondition::ok;
        may_end_flows =
            may_end_flows || (has_recovered && nat::carries_datagrams(edit.service.protocol));
    }
    if (outcome.changed > 0) {
        is_to_keep_ = true;
        note_draining(next ? *next : *before);
    }
    if (next) {
        reloader_.put_in_force(before, next);
        outcome.generation = generation_ = next->generation;
        outcome.flows = reloader_.settle(*before, *next, StaleFlows::live_on, between);
        keep(*next);
    } else if (!former.empty()) {
        if (std::ranges::any_of(changes.edits(),
                                [](const auto& edit) { return edit.second.is_kept_at_once; }))
            keep(*before);
        reloader_.wait_for_workers();
        if (may_end_flows) outcome.flows = reloader_.settle_services(*before, between);
    }
    outcome.took_ms = now_ms() - begun_ms;
    return outcome;
}

/// The policy in force with other services.
ServiceControl::Shared ServiceControl::with_services(const Snapshot& before,
                                                     ServiceChanges& changes) {
    Config config = current_config(before);
    auto& services = config.policy.services;
    std::erase_if(services, [&](nat::Service<V4>& service) {
        const auto edit = changes.edits().find(service.name);
        if (edit == changes.edits().end()) return false;
        if (edit->second.is_there) service = edit->second.service;
        return !edit->second.is_there;
    });
    for (const auto& [name, edit] : changes.edits())
        if (edit.is_there && !edit.before) services.push_back(edit.service);
    return std::make_shared<const Snapshot>(std::move(config), gateway_.identities, &before,
                                            before.router.own_addresses());
}

void ServiceControl::restore(const std::vector<KeptBackend>& backends) {
    const Shared policy = gateway_.policy.hold();
    std::unordered_map<BackendName, const KeptBackend*, BackendName::Hash> known;
    for (const KeptBackend& kept : backends)
        known.emplace(BackendName(kept.service, kept.backend), &kept);
    for (std::size_t place = 0; place < policy->services.size() && !known.empty(); ++place) {
        const auto entries = policy->service_rules.table(place)->entries();
        std::vector<Table::Entry> changed(entries.begin(), entries.end());
        bool is_changed = false;
        for (Table::Entry& entry : changed) {
            const auto kept = known.find({policy->services[place].name, entry.backend});
            if (kept == known.end()) continue;
            entry.drains = kept->second->drains;
            entry.health = kept->second->health;
            is_changed = true;
        }
        if (is_changed)
            static_cast<void>(policy->service_rules.replace(
                place, std::make_shared<const Table>(std::move(changed),
                                                     gateway_.identities.service_key())));
    }
    is_to_keep_ = !policy->services.empty();
}

/// A backend that drains already keeps its time.
void ServiceControl::note_draining(const Snapshot& policy) {
    decltype(draining_) found;
    for (std::size_t place = 0; place < policy.services.size(); ++place) {
        const nat::Service<V4>& service = policy.services[place];
        if (service.drain_s == 0) continue;
        for (const auto& entry : policy.service_rules.table(place)->entries()) {
            if (entry.state() != nat::BackendState::draining) continue;
            const BackendName name(service.name, entry.backend);
            const auto known = draining_.find(name);
            const std::uint64_t until_ms = now_ms() + std::uint64_t{1000} * service.drain_s;
            found.emplace(name, known == draining_.end() ? Draining{until_ms} : known->second);
        }
    }
    draining_ = std::move(found);
    noted_ = policy.generation;
}

/// A service's entries with what is to change of their inhibitions; empty: nothing is.
std::vector<ServiceControl::Table::Entry> ServiceControl::judged(const nat::Service<V4>& service,
                                                                 const Table& table) const {
    std::vector<Table::Entry> changed;
    const auto entries = table.entries();
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const Table::Entry& entry = entries[i];
        const auto step =
            nat::look_at_inhibition(service.inhibit, *entry.counters->results, entry.inhibited,
                                    entry.state() == nat::BackendState::active, now_ms());
        if (step == nat::InhibitionStep::none) continue;
        if (changed.empty()) changed.assign(entries.begin(), entries.end());
        changed[i].inhibited = step == nat::InhibitionStep::begins;
        log_inhibition(service.name, entry, step);
    }
    return changed;
}

void ServiceControl::look_at_openings(const Snapshot& policy, const Between& between) {
    std::vector<std::shared_ptr<const Table>> former;
    bool may_end_flows = false;
    for (std::size_t place = 0; place < policy.services.size(); ++place) {
        const nat::Service<V4>& service = policy.services[place];
        // Where nobody inhibits any more, what lasts ends at once.
        const bool is_new_policy = looked_at_ != policy.generation;
        if (service.inhibit.failures == 0 && !is_new_policy) continue;
        const nat::ServiceRules<V4>& rules = policy.service_rules;
        auto entries = judged(service, *rules.table(place));
        if (entries.empty()) continue;
        former.push_back(rules.replace(
            place,
            std::make_shared<const Table>(std::move(entries), gateway_.identities.service_key())));
        log_condition(service.name, former.back()->condition(), rules.table(place)->condition());
        // As when a check says so: datagrams leave a backend that others can stand in for.
        may_end_flows = may_end_flows || nat::carries_datagrams(service.protocol);
    }
    looked_at_ = policy.generation;
    if (former.empty()) return;
    reloader_.wait_for_workers();
    if (may_end_flows) static_cast<void>(reloader_.settle_services(policy, between));
}

void ServiceControl::heard(const std::string& checker) {
    const std::scoped_lock guard(checkers_mutex_);
    const auto known = std::ranges::find(checkers_, checker, &Checker::name);
    if (known == checkers_.end()) {
        if (checkers_.size() == most_checkers)
            throw std::runtime_error(fmt::format(
                "name: too many programs check backends; expected at most {}", most_checkers));
        checkers_.push_back({checker, now_ms()});
        return;
    }
    if (std::exchange(known->is_silent, false)) spdlog::info("{}: is heard again", checker);
    known->heard_ms = now_ms();
}

void ServiceControl::look_at_checkers() {
    const std::scoped_lock guard(checkers_mutex_);
    for (Checker& checker : checkers_) {
        if (checker.is_silent || now_ms() - checker.heard_ms < silent_ms) continue;
        checker.is_silent = true;
        spdlog::warn(
            "{}: not heard for {} s: backends keep the states that it has set; start it again",
            checker.name, silent_ms / 1000);
    }
}

void ServiceControl::look(const Between& between) {
    look_at_checkers();
    const auto lock = reloader_.try_lock();
    if (!lock) return;  // in a second
    const Shared policy = gateway_.policy.hold();
    if (noted_ != policy->generation) note_draining(*policy);
    if (is_to_keep_) keep(*policy);
    look_at_openings(*policy, between);
    const std::uint64_t now = now_ms();
    for (auto& [name, draining] : draining_) {
        if (draining.is_ended || draining.until_ms > now) continue;
        reloader_.end_drained(gateway_.identities.rule(name.service), name.backend, between);
        draining.is_ended = true;
    }
}

KeptServices ServiceControl::kept(const Snapshot& policy) const {
    KeptServices kept;
    for (std::size_t place = 0; place < policy.services.size(); ++place) {
        const nat::Service<V4>& service = policy.services[place];
        const auto entries = policy.service_rules.table(place)->entries();
        for (const auto& entry : entries)
            if (entry.drains || entry.health != nat::Health::unknown)
                kept.backends.push_back({service.name, entry.backend, entry.drains, entry.health});
        if (!service.by_command) continue;
        kept.services.push_back(service);
        kept.services.back().backends.clear();
        for (const auto& entry : entries)
            kept.services.back().backends.push_back(entry.backend);
    }
    return kept;
}

void ServiceControl::keep(const Snapshot& policy) {
    is_to_keep_ = false;
    if (gateway_.state == nullptr) return;
    gateway_.state->set_services(to_text(kept(policy), policy.config));
    gateway_.state->keep(gateway_.identities, policy.config);
}

}  // namespace noclash::dpdk
