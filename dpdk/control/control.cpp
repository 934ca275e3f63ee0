// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/control.hpp"

#include <fmt/format.h>
#include <rte_version.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "dpdk/config/rule_text.hpp"
#include "dpdk/config/version.hpp"
#include "dpdk/control/control_request.hpp"
#include "dpdk/control/flow_filter.hpp"
#include "dpdk/control/flow_text.hpp"
#include "dpdk/control/flow_walk.hpp"
#include "dpdk/control/memory_report.hpp"
#include "engine/base/clock.hpp"

namespace noclash::dpdk {

using nlohmann::json;

namespace {

/// How the rows of `flows list` are written.
enum class RowFormat { object, line };

RowFormat format_of(const json& request) {
    const auto found = request.find("format");
    if (found == request.end() || *found == "json") return RowFormat::object;
    if (*found == "text") return RowFormat::line;
    throw std::runtime_error(R"(format: expected "json" or "text")");
}

/// "top" of a request, or `most`.
std::uint64_t top_of(const json& request, std::uint64_t most) {
    const auto found = request.find("top");
    if (found == request.end()) return most;
    if (!found->is_number_unsigned()) throw std::runtime_error("top: expected a number from 0");
    return std::min(found->get<std::uint64_t>(), most);
}

/// A key of a request that is false when it is absent.
bool flag_of(const json& request, const char* key) {
    const auto found = request.find(key);
    if (found == request.end()) return false;
    if (!found->is_boolean())
        throw std::runtime_error(fmt::format("{}: expected true or false", key));
    return found->get<bool>();
}

/// "end_stale" of a request.
StaleFlows stale_flows(const json& request) {
    return flag_of(request, "end_stale") ? StaleFlows::end : StaleFlows::live_on;
}

/// A row for each change and each warning, and one for what has come of them.
void write_outcome(const ReloadOutcome& outcome, ResponseWriter& writer) {
    for (const ConfigChange& change : outcome.changes) {
        writer.row(json{{"change",
                         {{"kind", to_string(change.kind)},
                          {"section", change.section},
                          {"name", change.name},
                          {"words", change.words},
                          {"needs_restart", change.needs_restart}}}}
                       .dump());
    }
    for (const std::string& warning : outcome.warnings)
        writer.row(json{{"warning", {{"text", warning}}}}.dump());
    writer.row(json{{"outcome",
                     {{"applied", outcome.applied},
                      {"file", outcome.file},
                      {"generation", outcome.generation},
                      {"took_ms", outcome.took_ms},
                      {"flows",
                       {{"unchanged", outcome.flows.unchanged},
                        {"live_on", outcome.flows.live_on},
                        {"ended", outcome.flows.ended}}},
                      {"needs_restart", restart_titles(outcome.changes)}}}}
                   .dump());
}

std::uint64_t opened(const nat::MappingCounters& counters) {
    return counters.mappings_opened.value() + counters.permissions_opened.value();
}
std::uint64_t ended(const nat::MappingCounters& counters) {
    return counters.mappings_ended.value() + counters.permissions_ended.value();
}

}  // namespace

Control::Control(Gateway& gateway, const std::vector<std::unique_ptr<Worker>>& workers)
    : gateway_(gateway),
      workers_(workers),
      started_ms_(now_ms()),
      flush_(gateway),
      reloader_(gateway, workers, flush_),
      services_(gateway, reloader_) {}

void Control::answer(const json& request, ResponseWriter& writer) {
    const auto& command = request.at("command").get_ref<const std::string&>();
    if (command == "flows list") return flows_list(request, writer);
    if (command == "flows count") return flows_count(request, writer);
    if (command == "flows flush") return flows_flush(request, writer);
    if (command == "subscribers") return subscribers(request, writer);
    if (command == "reload") return reload(request, writer);
    if (command == "config diff") return config_diff(request, writer);
    if (command == "service change") return service_change(request, writer);
    if (command == "service heartbeat") return service_heartbeat(request, writer);
    using Plain = void (Control::*)(ResponseWriter&) const;
    constexpr std::array<std::pair<std::string_view, Plain>, 7> plain{
        {{"stats", &Control::stats},
         {"ports", &Control::ports},
         {"neighbors", &Control::neighbors},
         {"rules", &Control::rules},
         {"service list", &Control::service_list},
         {"memory", &Control::memory},
         {"version", &Control::version}}};
    for (const auto& [name, function] : plain) {
        if (command != name) continue;
        allow_only(request, {});
        return (this->*function)(writer);
    }
    throw std::runtime_error(fmt::format("no such command: \"{}\"", command));
}

std::uint64_t Control::live_flows() const {
    // Removals first: a flow that ends in between is counted as live, never as less than nothing.
    std::uint64_t removed = 0;
    for (std::size_t id = 0; id < workers_.size(); ++id) {
        const auto& mappings = workers_[id]->pipeline().slow_path().mappings().counters();
        removed += flush_.engine(id).removed.value() - ended(flush_.mappings(id));
        removed += workers_[id]->engine_counters().removed.value() - ended(mappings);
    }
    std::uint64_t inserted = 0;
    if (adoption_) {
        const ReloadOutcome::Flows& adopted = adoption_->flows;
        inserted = adopted.unchanged + adopted.live_on + adopted.ended;
    }
    for (const auto& worker : workers_)
        inserted += worker->engine_counters().insert.value() -
                    opened(worker->pipeline().slow_path().mappings().counters());
    return inserted > removed ? inserted - removed : 0;  // counters of one flow change one by one
}

void Control::flows_list(const json& request, ResponseWriter& writer) {
    allow_only(request, {"filter", "format"});
    const auto filter = FlowFilter::parse(request);
    const RowFormat format = format_of(request);
    FlowText text(gateway_.identities.rules());
    for_each_flow(
        gateway_, filter,
        [&](FlowReader&, const FlowView& flow) {
            writer.row(format == RowFormat::object ? text.object(flow) : text.line(flow));
        },
        [&writer] { writer.at_work(); });
}

void Control::flows_count(const json& request, ResponseWriter& writer) {
    allow_only(request, {"filter"});
    const auto filter = FlowFilter::parse(request);
    std::uint64_t count = 0;
    if (filter.is_empty()) {
        count = live_flows();
    } else {
        for_each_flow(
            gateway_, filter, [&](FlowReader&, const FlowView&) { ++count; },
            [&writer] { writer.at_work(); });
    }
    writer.row(json{{"count", count}}.dump());
}

void Control::flows_flush(const json& request, ResponseWriter& writer) {
    allow_only(request, {"filter", "reset"});
    const auto filter = FlowFilter::parse(request);
    const Ending ending = flag_of(request, "reset") ? Ending::resets : Ending::silent;
    if (filter.wants_wildcards()) {
        throw std::runtime_error(
            "filter: state: mappings, permissions and incarnations end with their flows: flush "
            "the flows");
    }
    const Flushed done = flush_.flush(
        filter, [ending](const FlowView&) { return ending; }, [&writer] { writer.at_work(); });
    writer.row(
        json{{"flushed", done.ended}, {"reset", done.reset}, {"untold", done.untold}}.dump());
}

json Control::adoption() const {
    if (!adoption_) return nullptr;
    const AdoptionReport& report = *adoption_;
    return {{"instance", gateway_.config.name},
            {"flows", report.adopted()},
            {"rolled_back", report.records.rolled_back},
            {"over", report.records.over},
            {"refused", report.refused()},
            {"unchanged", report.flows.unchanged},
            {"live_on", report.flows.live_on},
            {"ended", report.flows.ended},
            {"took_ms", report.took_ms}};
}

void Control::stats(ResponseWriter& writer) const {
    using nat::DropReason;
    const json of_all = adoption();
    for (std::size_t id = 0; id < workers_.size(); ++id) {
        const Worker& worker = *workers_[id];
        const WorkerCounters& c = worker.counters();
        const EngineCounters& e = worker.engine_counters();
        const nat::SynProxyCounters& p = worker.pipeline().slow_path().syn_proxy().counters();
        const nat::MappingCounters& m = worker.pipeline().slow_path().mappings().counters();
        // netfilter's losses to a clash at confirm would here be packets given up while they
        // waited for another worker's set-up.
        const std::uint64_t clashes_lost =
            c.dropped(DropReason::park_full) + c.dropped(DropReason::park_timeout);
        const std::uint64_t invalid =
            c.dropped(DropReason::tcp_invalid) + c.dropped(DropReason::tcp_not_syn) +
            c.dropped(DropReason::bad_l4_header) + c.dropped(DropReason::bad_l4_checksum) +
            c.dropped(DropReason::icmp_unrelated);
        json drops = json::object();
        for (std::size_t reason = 1; reason < nat::drop_reasons; ++reason)
            drops[std::string(nat::drop_reason_names[reason])] = c.drops[reason].value();
        const json row{
            {"worker", id},
            {"netfilter",
             {{"found", e.found.value()},
              {"invalid", invalid},
              {"insert", e.insert.value()},
              {"insert_failed", clashes_lost},
              {"drop",
               clashes_lost + c.dropped(DropReason::table_full) + c.dropped(DropReason::exhausted) +
                   c.dropped(DropReason::search_timeout) + c.dropped(DropReason::chain_too_long)},
              {"early_drop", worker.pipeline().slow_path().early_drop().dropped().value()},
              {"error", c.dropped(DropReason::truncated) + c.dropped(DropReason::bad_ip_header)},
              {"search_restart", e.search_restart.value()},
              {"clash_resolve", worker.pipeline().clash_resolved().value() + c.adopted.value()},
              {"chaintoolong", e.chain_too_long.value()}}},
            {"datapath",
             {{"rx_packets", c.rx_packets.value()},
              {"rx_bytes", c.rx_bytes.value()},
              {"tx_packets", c.tx_packets.value()},
              {"tx_bytes", c.tx_bytes.value()},
              {"arp_received", c.arp_received.value()},
              {"arp_sent", c.arp_sent.value()},
              {"icmp_errors_sent", c.icmp_errors_sent.value()},
              {"icmp_errors_suppressed", c.icmp_errors_suppressed.value()},
              {"tcp_resets_sent", c.tcp_resets_sent.value()},
              {"tcp_resets_suppressed", c.tcp_resets_suppressed.value()},
              {"flow_resets_sent", c.flow_resets_sent.value()},
              {"own_segments_sent", c.own_segments_sent.value()},
              {"syn_cookies_sent", p.cookies_sent.value()},
              {"syn_cookies_accepted", p.opened.value()},
              {"syn_proxy_waiting", p.waiting.value()},
              {"syn_proxy_retries", p.retries.value()},
              {"syn_proxy_unanswered", p.unanswered.value()},
              {"syn_proxy_challenges", p.challenges.value()},
              {"no_buffer", c.no_buffer.value()},
              {"parked", c.parked.value()},
              {"adopted", c.adopted.value()},
              {"neighbor_waited", c.neighbor_waited.value()},
              {"neighbor_moved", c.neighbor_moved.value()},
              {"neighbor_claims", c.neighbor_claims.value()},
              {"address_conflicts", c.address_conflicts.value()},
              {"fragments_received", c.fragments_received.value()},
              {"fragment_copies", c.fragment_copies.value()},
              {"reassembled", c.reassembled.value()},
              {"fragmented", c.fragmented.value()},
              {"fragments_sent", c.fragments_sent.value()},
              {"untracked", worker.pipeline().untracked().packets()},
              {"half_open_ended", worker.pipeline().slow_path().half_open().ended().value()},
              {"uncounted", worker.pipeline().slow_path().uncounted().value()},
              {"flows_removed", e.removed.value() + flush_.engine(id).removed.value()},
              {"rolled_back", e.rolled_back.value()},
              {"tuple_reused", worker.pipeline().slow_path().tuples_reused().value()},
              {"mappings_opened", m.mappings_opened.value()},
              {"mappings_ended",
               m.mappings_ended.value() + flush_.mappings(id).mappings_ended.value()},
              {"permissions_opened", m.permissions_opened.value()},
              {"permissions_ended",
               m.permissions_ended.value() + flush_.mappings(id).permissions_ended.value()},
              {"naps", c.naps.value()},
              {"woken", c.woken.value()}}},
            {"drops", drops},
            {"adoption", of_all}};
        writer.row(row.dump());
    }
}

void Control::ports(ResponseWriter& writer) const {
    const std::uint64_t now = now_ms();
    for (std::size_t i = 0; i < gateway_.ports.size(); ++i) {
        const auto& port = gateway_.ports[i];
        const PortStats stats = port->stats();
        LinkStatus link = gateway_.links.status(i);
        if (link.state == LinkState::unknown)
            link.state = port->link_up() ? LinkState::up : LinkState::down;
        json further = json::object();
        for (const auto& [name, value] : port->further_losses())
            further[name] = value;
        writer.row(json{
            {"name", port->config().name},
            {"device", port->config().device},
            {"driver", port->driver()},
            {"mac", nat::to_string(gateway_.macs[i])},
            {"address", fmt::format("{}/{}", to_string<V4>(port->config().address),
                                    port->config().prefix_length)},
            {"mtu", port->config().mtu},
            {"link", std::string(to_string(link.state))},
            {"link_s", now > link.since_ms ? (now - link.since_ms) / 1000 : 0},
            {"link_changes", link.changes},
            {"reopened", link.reopened},
            {"queues", port->queues()},
            {"rss", port->spreads_by_rss()},
            {"rx_checksum_offload", port->checks_rx_checksums()},
            {"rx_packets", stats.rx_packets},
            {"tx_packets", stats.tx_packets},
            {"rx_bytes", stats.rx_bytes},
            {"tx_bytes", stats.tx_bytes},
            {"rx_missed", stats.rx_missed},
            {"rx_errors", stats.rx_errors},
            {"rx_no_buffers", stats.rx_no_buffers},
            {"tx_errors", stats.tx_errors},
            {"interface_rx_dropped", link.losses.rx_dropped},
            {"interface_rx_errors", link.losses.rx_errors},
            {"interface_tx_dropped", link.losses.tx_dropped},
            {"interface_tx_errors", link.losses.tx_errors},
            {"further_losses",
             further}}.dump());
    }
}

void Control::neighbors(ResponseWriter& writer) const {
    const std::uint64_t now = now_ms();
    for (const NeighborEntry& entry : gateway_.neighbors.snapshot()) {
        const bool known = entry.mac != nat::MacAddress{};
        writer.row(json{{"port", gateway_.config.ports[entry.port].name},
                        {"address", to_string<V4>(entry.address)},
                        {"mac", known ? json(nat::to_string(entry.mac)) : json()},
                        {"state", std::string(to_string(entry.state))},
                        {"age_s", now > entry.last_used_ms ? (now - entry.last_used_ms) / 1000 : 0}}
                       .dump());
    }
}

void Control::rules(ResponseWriter& writer) const {
    const auto held = gateway_.policy.hold();
    const Snapshot& policy = *held;
    for (std::size_t i = 0; i < policy.rules.size(); ++i) {
        const nat::Rule<V4>& rule = policy.rules[i];
        json backends = json::array();
        std::uint64_t unanswered = 0;
        for (std::size_t n = 0; n < rule.targets.size(); ++n) {
            const std::uint64_t of_target = policy.backends.unanswered(i, n);
            unanswered += of_target;
            backends.push_back(
                {{"target", target_text(rule.targets[n])}, {"unanswered", of_target}});
        }
        writer.row(json{
            {"index", i},
            {"name", rule.name},
            {"match", match_text(rule, policy.config)},
            {"action", action_text(rule, policy.config)},
            {"hits", reloader_.hits(rule.id)},
            {"half_open", gateway_.limits.services().half_open(rule.id)},
            {"unanswered", unanswered},
            {"backends",
             backends}}.dump());
    }
}

void Control::service_list(ResponseWriter& writer) const {
    for (const json& row : services_.list())
        writer.row(row.dump());
}

void Control::service_change(const json& request, ResponseWriter& writer) {
    allow_only(request, {"changes"});
    const auto changes = request.find("changes");
    if (changes == request.end())
        throw std::runtime_error("changes: is missing; expected an array of changes");
    const ServiceOutcome outcome = services_.change(*changes, [&writer] { writer.at_work(); });
    writer.row(json{{"changed", outcome.changed},
                    {"unchanged", outcome.unchanged},
                    {"generation", outcome.generation},
                    {"took_ms", outcome.took_ms},
                    {"flows_ended", outcome.flows.ended}}
                   .dump());
}

/// Of a program that checks backends: its silence is an alarm.
void Control::service_heartbeat(const json& request, ResponseWriter& writer) {
    allow_only(request, {"name"});
    const auto name = request.find("name");
    if (name == request.end() || !name->is_string())
        throw std::runtime_error("name: expected the name of the program that checks backends");
    services_.heard(name->get<std::string>());
    writer.row(json{{"heard", true}}.dump());
}

/// Those that hold most flows first; of equals, those with more half-open connections.
void Control::subscribers(const json& request, ResponseWriter& writer) const {
    allow_only(request, {"top"});
    const auto* sources = gateway_.limits.sources();
    if (sources == nullptr)
        throw std::runtime_error("no subscriber is counted: [limits] sets none of its limits");
    using Source = Limits::Sources::Source;
    const auto used = [](const Source& source, nat::Quota quota) {
        return source.used[static_cast<std::size_t>(quota)];
    };
    std::vector<Source> found;
    sources->for_each([&](const Source& source) { found.push_back(source); });
    const auto weight = [&](const Source& source) {
        return std::tuple(used(source, nat::Quota::flows), used(source, nat::Quota::half_open));
    };
    std::ranges::sort(found, std::ranges::greater{}, weight);
    found.resize(top_of(request, found.size()));
    for (const Source& source : found) {
        writer.row(json{{"address", to_string<V4>(source.address)},
                        {"zone", source.zone},
                        {"flows", used(source, nat::Quota::flows)},
                        {"tcp_ports", used(source, nat::Quota::tcp_ports)},
                        {"udp_ports", used(source, nat::Quota::udp_ports)},
                        {"icmp_ids", used(source, nat::Quota::icmp_ids)},
                        {"half_open", used(source, nat::Quota::half_open)}}
                       .dump());
    }
}

void Control::reload(const json& request, ResponseWriter& writer) {
    allow_only(request, {"end_stale"});
    const ReloadOutcome outcome =
        reloader_.reload(stale_flows(request), [&writer] { writer.at_work(); });
    spdlog::info("{}", to_string(outcome));
    write_outcome(outcome, writer);
}

void Control::config_diff(const json& request, ResponseWriter& writer) {
    allow_only(request, {"file", "end_stale"});
    const auto file = request.find("file");
    if (file == request.end() || !file->is_string())
        throw std::runtime_error("file: expected the path of a configuration");
    write_outcome(reloader_.preview(file->get<std::string>(), stale_flows(request),
                                    [&writer] { writer.at_work(); }),
                  writer);
}

void Control::memory(ResponseWriter& writer) const {
    for (const MemoryRow& row : memory_report(gateway_))
        writer.row(
            json{{"what", row.what}, {"bytes", row.bytes}, {"pages", to_string(row.pages)}}.dump());
}

void Control::version(ResponseWriter& writer) const {
    writer.row(json{{"version", noclash_version},
                    {"dpdk", ::rte_version()},
                    {"uptime_s", (now_ms() - started_ms_) / 1000}}
                   .dump());
}

}  // namespace noclash::dpdk
