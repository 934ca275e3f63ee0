// SPDX-License-Identifier: Apache-2.0

// Every structure is taken apart into all of its members, so that one that gets a new member does
// not compile here until somebody has said which setting that is.

#include "dpdk/config/settings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <concepts>
#include <span>

#include "dpdk/config/values.hpp"
#include "dpdk/config/words.hpp"

namespace noclash::dpdk {

namespace {

using enum Reload;

/// Lists may be thousands long; people read so many of their elements.
constexpr std::size_t most_shown = 8;

std::string value_text(bool value) {
    return value ? "true" : "false";
}
std::string value_text(std::unsigned_integral auto value) {
    return fmt::format("{}", value);
}
std::string value_text(std::string_view value) {
    return std::string(value);
}

template <class Value>
Setting setting(std::string_view key, const Value& value, Reload reload = live) {
    return {key, {value_text(value)}, reload};
}

template <class Elements, class TextOf>
Values value_texts(const Elements& elements, TextOf text_of) {
    Values found;
    for (const auto& element : elements)
        found.push_back(text_of(element));
    return found;
}

Word no_room_word(const std::optional<nat::IcmpError>& error) {
    const auto equal = [&](const std::optional<nat::IcmpError>& other) {
        if (!error || !other) return error.has_value() == other.has_value();
        const auto& [type, code, mtu] = *error;
        return type == other->type && code == other->code && mtu == other->mtu;
    };
    return no_room_words[static_cast<std::size_t>(std::ranges::find_if(no_room_errors, equal) -
                                                  no_room_errors.begin())];
}

Table memory_table(const MemoryConfig& memory) {
    const auto& [huge_pages, dpdk_megabytes, packet_buffers] = memory;
    return {"memory",
            {setting("huge_pages", word_of(huge_pages_words, huge_pages), restart),
             setting("dpdk_megabytes", dpdk_megabytes, restart),
             setting("packet_buffers", packet_buffers, restart)}};
}

Table neighbors_table(const NeighborConfig& neighbors) {
    const auto& [refresh_s, queue_packets, capacity] = neighbors;
    return {"neighbors",
            {setting("refresh_s", refresh_s), setting("queue_packets", queue_packets, restart),
             setting("capacity", capacity, restart)}};
}

Table fragments_table(const FragmentsConfig& fragments) {
    const auto& [capacity, per_source, timeout_ms] = fragments;
    return {"fragments",
            {setting("capacity", capacity, restart), setting("per_source", per_source),
             setting("timeout_ms", timeout_ms)}};
}

Table timeouts_table(const nat::Timeouts& timeouts) {
    const auto& [tcp_syn_sent_s, tcp_syn_recv_s, tcp_established_s, tcp_fin_wait_s,
                 tcp_close_wait_s, tcp_last_ack_s, tcp_time_wait_s, tcp_close_s, udp_s,
                 udp_stream_s, icmp_s, sctp_established_s, sctp_transitory_s, generic_s,
                 port_quarantine_s, inbound_refresh] = timeouts;
    return {
        "timeouts",
        {setting("tcp_syn_sent_s", tcp_syn_sent_s), setting("tcp_syn_recv_s", tcp_syn_recv_s),
         setting("tcp_established_s", tcp_established_s), setting("tcp_fin_wait_s", tcp_fin_wait_s),
         setting("tcp_close_wait_s", tcp_close_wait_s), setting("tcp_last_ack_s", tcp_last_ack_s),
         setting("tcp_time_wait_s", tcp_time_wait_s), setting("tcp_close_s", tcp_close_s),
         setting("udp_s", udp_s), setting("udp_stream_s", udp_stream_s), setting("icmp_s", icmp_s),
         setting("sctp_established_s", sctp_established_s),
         setting("sctp_transitory_s", sctp_transitory_s), setting("generic_s", generic_s),
         setting("port_quarantine_s", port_quarantine_s),
         setting("inbound_refresh", inbound_refresh)}};
}

Table limits_table(const nat::LimitsConfig<V4>& limits, bool early_drop,
                   std::uint32_t half_open_percent) {
    const auto& [subscribers, most, half_open_per_service, sources] = limits;
    const auto& [flows, tcp_ports, udp_ports, icmp_ids, half_open] = most;
    const auto prefix_text = [](const Prefix<V4>& prefix) { return to_text(prefix); };
    return {"limits",
            {{"subscribers", value_texts(subscribers, prefix_text), live, "all"},
             setting("flows_per_subscriber", flows),
             setting("tcp_ports_per_subscriber", tcp_ports),
             setting("udp_ports_per_subscriber", udp_ports),
             setting("icmp_ids_per_subscriber", icmp_ids),
             setting("half_open_per_source", half_open),
             setting("half_open_per_service", half_open_per_service),
             setting("half_open_percent", half_open_percent),
             setting("sources", sources, restart),
             setting("early_drop", early_drop)}};
}

}  // namespace

std::vector<Table> tables_of(const Config& config) {
    // A port, route, neighbour, pool, rule or service has settings of its own: `settings_of`.
    const auto& [file, text, name, state, flows, workers, cores, idle, reply_locality,
                 control_socket, log_level, memory, neighbors, static_neighbors, fragments,
                 timeouts, ports, routes, policy, limits, warnings] = config;
    const auto& [pools, rules, services, no_room_error, early_drop, half_open_percent, tcp,
                 tcp_timestamps, tcp_reuse, tcp_unknown] = policy;
    const auto& [window, pickup] = tcp;
    const auto& [keeps_state, state_file] = state;
    const auto core_text = [](std::uint16_t core) { return value_text(core); };
    return {
        {"",
         {setting("name", name, restart),
          setting("flows", flows, restart),
          setting("workers", workers, restart),
          {"cores", value_texts(cores, core_text), restart, "the allowed ones"},
          setting("idle", word_of(idle_words, idle), restart),
          setting("reply_locality", reply_locality, restart),
          setting("control_socket", control_socket, restart),
          setting("log_level", log_level),
          setting("no_room_icmp", no_room_word(no_room_error)),
          setting("tcp_window", word_of(tcp_window_words, window)),
          setting("tcp_pickup", pickup),
          setting("tcp_timestamps", word_of(tcp_timestamps_words, tcp_timestamps), restart),
          setting("tcp_reuse", word_of(tcp_reuse_words, tcp_reuse)),
          setting("tcp_unknown", word_of(tcp_unknown_words, tcp_unknown))}},
        {"state", {setting("keep", keeps_state, restart), setting("file", state_file, restart)}},
        memory_table(memory),
        neighbors_table(neighbors),
        fragments_table(fragments),
        timeouts_table(timeouts),
        limits_table(limits, early_drop, half_open_percent)};
}

std::string shown_values(const Values& values) {
    const std::size_t count = std::min(values.size(), most_shown);
    std::string text = fmt::format("{}", fmt::join(std::span(values).first(count), ", "));
    if (count < values.size()) text += fmt::format(" and {} more", values.size() - count);
    return text;
}

}  // namespace noclash::dpdk
