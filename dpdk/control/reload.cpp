// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/reload.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>

#include "dpdk/config/sections.hpp"
#include "dpdk/config/service_conflicts.hpp"
#include "dpdk/device/background.hpp"
#include "engine/base/clock.hpp"

namespace noclash::dpdk {

namespace {

using nat::FlowFate;

/// The facts about a flow that a policy judges it by.
nat::FlowFacts<V4> facts_of(const FlowView& flow, const RouteTable& router) {
    const auto back = router.route(flow.original.source);
    const V4Address& source = flow.reply.destination;
    const bool translated = source != flow.original.source;
    return {flow.original, flow.reply, flow.rule, back ? back->port : nat::no_port,
            !translated || (router.is_own(source) && !router.is_retired(source))};
}

Ending ending_of(FlowFate fate) {
    if (fate == FlowFate::is_reset) return Ending::resets;
    return fate == FlowFate::ends ? Ending::silent : Ending::none;
}

/// Ends all flows of which `ends(view)` says so, and returns how many. What has begun is finished,
/// though whoever asked for it may leave.
template <class Ends>
std::uint64_t end_flows(FlowFlush& flush, Ends&& ends, const Reloader::Between& between,
                        Workers workers = Workers::run) {
    const auto undisturbed = [&between] {
        try {
            between();
        } catch (const std::exception&) {
            return;
        }
    };
    const Flushed done = flush.flush({}, ends, undisturbed, workers);
    if (done.untold > 0) {
        spdlog::warn("{} connections have ended, and their ends are told when they send something",
                     done.untold);
    }
    return done.ended;
}

/// Adds the services that commands have made to those of a file, with the backends that they have.
/// @throws ConfigError when one cannot be beside what stands in the file
void keep_services_of_commands(const Snapshot& running, Config& wanted) {
    std::optional<ServiceConflicts> conflicts;
    const std::size_t of_file = wanted.policy.services.size();
    Config current = current_config(running);
    for (nat::Service<V4>& service : current.policy.services) {
        if (!service.by_command) continue;
        const auto fault = [&](std::string_view key, std::string_view what) {
            throw ConfigError(fmt::format(
                "service {:?}, which a command has made: {}: {}; remove or change the service "
                "first",
                service.name, key, what));
        };
        if (!conflicts) {
            conflicts.emplace(wanted);
            for (std::size_t i = 0; i < of_file; ++i)
                conflicts->insert(wanted.policy.services[i]);
        }
        if (service.source_nat == nat::SourceNat::pool) {
            const auto pool = index_of(wanted.policy.pools, running.pools[service.pool].name);
            if (!pool) fault("source", "its pool is gone");
            service.pool = *pool;
        }
        if (const auto found = conflicts->find(service); !found.empty())
            fault(found.front().key, found.front().what);
        conflicts->insert(service);
        wanted.policy.services.push_back(std::move(service));
    }
}

}  // namespace

void ReloadOutcome::Flows::add(FlowFate fate) {
    ++(fate == FlowFate::unchanged ? unchanged : fate == FlowFate::lives_on ? live_on : ended);
}

Config current_config(const Snapshot& policy) {
    Config config = policy.config;
    for (std::size_t place = 0; place < policy.services.size(); ++place) {
        auto& backends = config.policy.services[place].backends;
        backends.clear();
        for (const auto& entry : policy.service_rules.table(place)->entries())
            backends.push_back(entry.backend);
    }
    return config;
}

bool ReloadOutcome::needs_restart() const {
    return std::ranges::any_of(changes, &ConfigChange::needs_restart);
}

std::string to_string(const ReloadOutcome& outcome) {
    if (outcome.changes.empty()) return fmt::format("{}: no change", outcome.file);
    if (outcome.needs_restart()) {
        return fmt::format("{}: nothing was changed: restart noclash to change {}", outcome.file,
                           fmt::join(restart_titles(outcome.changes), ", "));
    }
    const auto& [unchanged, live_on, ended] = outcome.flows;
    return fmt::format(
        "{} reloaded in {} ms: changes: {}; flows unchanged: {}, living on: {}, ended: {}",
        outcome.file, outcome.took_ms, outcome.changes.size(), unchanged, live_on, ended);
}

ReloadOutcome Reloader::compare(const Snapshot& running, Config& wanted) const {
    ReloadOutcome outcome;
    outcome.file = wanted.file;
    for (const Finding& warning : wanted.warnings)
        outcome.warnings.push_back(warning.text);
    outcome.changes = config_changes(running.config, wanted);
    outcome.generation = running.generation;
    return outcome;
}

ReloadOutcome Reloader::reload(StaleFlows stale, const Between& between) {
    const auto lock = this->lock(between);
    const std::uint64_t begun_ms = now_ms();
    const Shared before = gateway_.policy.hold();
    ReloadOutcome outcome;
    Shared next;
    const auto build = [&] {
        Config wanted = load_config(before->config.file);
        outcome = compare(*before, wanted);
        outcome.applied = !outcome.needs_restart();
        if (outcome.changes.empty() || outcome.needs_restart()) return;
        keep_services_of_commands(*before, wanted);
        forget_names(*before, wanted);
        // Old addresses are kept until it is known which of them flows have.
        next = std::make_shared<const Snapshot>(std::move(wanted), gateway_.identities,
                                                before.get(), before->router.own_addresses());
    };
    in_background(build, between);
    if (next) {
        // Flows may refer to its names from now on; they go by the former policy until they settle.
        if (gateway_.state != nullptr) gateway_.state->keep(gateway_.identities, before->config);
        put_in_force(before, next);
        outcome.generation = next->generation;
        outcome.flows = settle(*before, *next, stale, between, Workers::run);
        if (gateway_.state != nullptr) gateway_.state->keep(gateway_.identities, next->config);
    }
    outcome.took_ms = now_ms() - begun_ms;
    return outcome;
}

ReloadOutcome::Flows Reloader::reconcile() {
    const Shared before = std::exchange(gateway_.policy_before, nullptr);
    const Shared now = gateway_.policy.hold();
    return settle(
        before ? *before : *now, *now, StaleFlows::live_on, [] {}, Workers::not_yet);
}

void Reloader::put_in_force(const Shared& before, const Shared& next) {
    if (gateway_.limits.prepare(next->config.limits)) wait_for_workers();
    gateway_.neighbors.set_refresh(next->config.neighbors.refresh_s);
    gateway_.neighbors.repin(before->pinned, next->pinned, now_ms());
    const Shared old = gateway_.policy.replace(next);
    wait_for_workers();
    gateway_.neighbors.repin(before->pinned, next->pinned, now_ms());
    spdlog::set_level(spdlog::level::from_str(next->config.log_level));
}

void Reloader::wait_for_workers() {
    auto& quiescence = gateway_.flows.quiescence();
    const std::uint64_t token = quiescence.start();
    while (!quiescence.passed(token))
        std::this_thread::sleep_for(std::chrono::microseconds(50));
}

ReloadOutcome Reloader::preview(const std::string& file, StaleFlows stale, const Between& between) {
    const auto lock = this->lock(between);
    const std::uint64_t begun_ms = now_ms();
    const Shared before = gateway_.policy.hold();
    ReloadOutcome outcome;
    std::unique_ptr<const Snapshot> preview;
    const auto build = [&] {
        Config wanted = load_config(file);
        outcome = compare(*before, wanted);
        keep_services_of_commands(*before, wanted);
        // The names of a file that is only looked at get no numbers.
        nat::Identities identities = gateway_.identities;
        preview = std::make_unique<const Snapshot>(std::move(wanted), identities, before.get());
    };
    in_background(build, between);
    const Snapshot& next = *preview;
    const auto count = [&](FlowReader&, const FlowView& flow) {
        if (flow.is_wildcard()) return;
        outcome.flows.add(
            fate_of(facts_of(flow, next.router), *before, next, stale == StaleFlows::end));
    };
    for_each_flow(gateway_, {}, count, between);
    outcome.took_ms = now_ms() - begun_ms;
    return outcome;
}

ReloadOutcome::Flows Reloader::settle(const Snapshot& before, const Snapshot& now, StaleFlows stale,
                                      const Between& between, Workers workers) {
    ReloadOutcome::Flows flows;
    const auto ends = [&](const FlowView& flow) {
        const FlowFate fate =
            fate_of(facts_of(flow, now.router), before, now, stale == StaleFlows::end);
        const Ending ending = ending_of(fate);
        if (ending == Ending::none) flows.add(fate);
        return ending;
    };
    flows.ended = end_flows(flush_, ends, between, workers);
    return flows;
}

ReloadOutcome::Flows Reloader::settle_services(const Snapshot& policy, const Between& between) {
    ReloadOutcome::Flows flows;
    const auto ends = [&](const FlowView& flow) {
        const nat::Rule<V4>* const rule = policy.find_rule(flow.rule);
        if (rule == nullptr || !rule->is_service()) return Ending::none;
        const FlowFate fate = nat::fate_of(flow.reply, *rule, policy);
        const Ending ending = ending_of(fate);
        if (ending == Ending::none) flows.add(fate);
        return ending;
    };
    flows.ended = end_flows(flush_, ends, between);
    return flows;
}

void Reloader::end_drained(nat::RuleId service, const nat::Backend<V4>& backend,
                           const Between& between) {
    const auto ends = [&](const FlowView& flow) {
        const bool is_its = flow.rule == service && flow.reply.source == backend.address &&
                            (backend.port == 0 || flow.reply.source_port.host() == backend.port);
        return is_its ? ending_of(nat::fate_of_gone(flow.reply.protocol, nat::OnGone::reset))
                      : Ending::none;
    };
    end_flows(flush_, ends, between);
}

std::unique_lock<std::timed_mutex> Reloader::lock(const Between& between) {
    std::unique_lock lock(mutex_, std::defer_lock);
    while (!lock.try_lock_for(std::chrono::milliseconds(100)))
        between();
    return lock;
}

/// Gives the numbers of names back that neither the policy in force nor a flow has, when those that
/// are left may not suffice.
void Reloader::forget_names(const Snapshot& current, const Config& wanted) {
    nat::Identities& identities = gateway_.identities;
    if (identities.rules().left() >= wanted.policy.rules.size() + wanted.policy.services.size() &&
        identities.pools().left() >= wanted.policy.pools.size())
        return;
    std::vector<bool> rules(nat::Identities::most_rules), pools(nat::Identities::most_rules);
    for (const auto& rule : current.rules)
        rules[rule.id] = true;
    for (const auto& service : current.service_rules.rules())
        rules[service.id] = true;
    for (const auto& pool : current.pools)
        pools[pool.id] = true;
    FlowReader reader(gateway_);
    constexpr std::uint32_t records_at_once = 4096;
    for (FlowId first = 1; first <= gateway_.flows.pool().last_id(); first += records_at_once)
        reader.mark_names(first, records_at_once, rules, pools);
    wait_for_workers();  // whoever was about to count a flow's end for its rule has done so
    for (const nat::RuleId rule : identities.give_back(rules, pools))
        former_hits_[rule].store(all_hits(rule), std::memory_order_relaxed);
}

std::uint64_t Reloader::all_hits(nat::RuleId rule) const {
    std::uint64_t hits = 0;
    for (const auto& worker : workers_)
        hits += worker->pipeline().rule_hits(rule);
    return hits;
}

std::uint64_t Reloader::hits(nat::RuleId rule) const {
    return all_hits(rule) - former_hits_[rule].load(std::memory_order_relaxed);
}

void Reloader::give_up_retired(const Between& between) {
    const auto lock = try_lock();
    if (!lock) return;
    const Shared before = gateway_.policy.hold();
    const auto retired = before->router.retired();
    if (retired.empty()) return;
    std::unordered_set<std::uint32_t> in_use;
    const auto note = [&](FlowReader&, const FlowView& flow) {
        for (const V4Address& address : {flow.original.destination, flow.reply.destination})
            if (before->router.is_retired(address)) in_use.insert(address.value.wire());
    };
    for_each_flow(gateway_, {}, note, between);
    if (in_use.size() == retired.size()) return;
    std::vector<V4Address> left;
    for (const std::uint32_t wire : in_use)
        left.push_back({Be32::from_wire(wire)});
    const auto next = std::make_shared<const Snapshot>(current_config(*before), gateway_.identities,
                                                       before.get(), left);
    put_in_force(before, next);
    spdlog::info("addresses of former configurations that no flow has any more are given up: {}",
                 retired.size() - left.size());
}

}  // namespace noclash::dpdk
