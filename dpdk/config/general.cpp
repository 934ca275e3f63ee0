// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "dpdk/config/device_string.hpp"
#include "dpdk/config/sections.hpp"
#include "dpdk/config/words.hpp"

namespace noclash::dpdk {

namespace {

using namespace std::string_view_literals;

struct TimeoutKey {
    std::string_view key;
    std::uint32_t nat::Timeouts::*member;
    std::uint32_t floor_s;
    std::string_view clause;
};

constexpr std::string_view transitory = "RFC 5382 REQ-5 (transitory connections)";

/// Below these floors nobody gets by accident: [RFC 4787 REQ-5] [RFC 5382 REQ-5] [RFC 5508 REQ-2].
constexpr std::array timeout_keys{
    TimeoutKey{"tcp_syn_sent_s", &nat::Timeouts::tcp_syn_sent_s, 240, transitory},
    TimeoutKey{"tcp_syn_recv_s", &nat::Timeouts::tcp_syn_recv_s, 240, transitory},
    TimeoutKey{"tcp_established_s", &nat::Timeouts::tcp_established_s, 7440,
               "RFC 5382 REQ-5 (established connections)"},
    TimeoutKey{"tcp_fin_wait_s", &nat::Timeouts::tcp_fin_wait_s, 240, transitory},
    TimeoutKey{"tcp_close_wait_s", &nat::Timeouts::tcp_close_wait_s, 240, transitory},
    TimeoutKey{"tcp_last_ack_s", &nat::Timeouts::tcp_last_ack_s, 240, transitory},
    TimeoutKey{"tcp_time_wait_s", &nat::Timeouts::tcp_time_wait_s, 240, transitory},
    TimeoutKey{"tcp_close_s", &nat::Timeouts::tcp_close_s, 240, "RFC 7857 section 2.2 (after RST)"},
    TimeoutKey{"udp_s", &nat::Timeouts::udp_s, 120, "RFC 4787 REQ-5"},
    TimeoutKey{"udp_stream_s", &nat::Timeouts::udp_stream_s, 120, "RFC 4787 REQ-5"},
    TimeoutKey{"icmp_s", &nat::Timeouts::icmp_s, 60, "RFC 5508 REQ-2"},
    TimeoutKey{"sctp_established_s", &nat::Timeouts::sctp_established_s, 1, ""},
    TimeoutKey{"sctp_transitory_s", &nat::Timeouts::sctp_transitory_s, 1, ""},
    TimeoutKey{"generic_s", &nat::Timeouts::generic_s, 1, ""},
    TimeoutKey{"port_quarantine_s", &nat::Timeouts::port_quarantine_s, 120, "RFC 6888 REQ-8"},
};

void read_workers(const Section& top, Config& config) {
    const auto workers = top.integer("workers", 1, 64);
    if (workers) config.workers = static_cast<std::uint16_t>(*workers);
    for (const std::int64_t core : top.integers("cores", 0, 1023)) {
        config.cores.push_back(static_cast<std::uint16_t>(core));
    }
    if (config.cores.empty()) return;
    if (config.cores.size() > 64) {
        top.fault("cores", fmt::format("names {} cores", config.cores.size()), "at most 64");
    } else if (!top.has("workers")) {
        config.workers = static_cast<std::uint16_t>(config.cores.size());
    } else if (workers && config.cores.size() != config.workers) {
        top.fault("cores",
                  fmt::format("names {} cores for {} workers", config.cores.size(), config.workers),
                  "one core for each worker");
    }
}

}  // namespace

std::string read_name(const Section& section, std::size_t longest) {
    const std::string expected =
        fmt::format("1 to {} letters, digits, dots, dashes and underscores", longest);
    if (!section.require("name", expected)) return {};
    const auto name = section.text("name", expected);
    if (!name) return {};
    const bool fit = !name->value.empty() && name->value.size() <= longest &&
                     std::all_of(name->value.begin(), name->value.end(), [](unsigned char c) {
                         return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
                     });
    if (!fit) {
        section.fault("name", fmt::format("{:?} is no name", name->value), expected);
        return {};
    }
    return name->value;
}

void read_general(const Section& top, Config& config) {
    top.allow_only({"flows",      "workers",        "name",       "cores",     "idle",
                    "log_level",  "control_socket", "tcp_window", "tcp_reuse", "tcp_timestamps",
                    "tcp_pickup", "tcp_unknown",    "memory",     "neighbors", "no_room_icmp",
                    "neighbor",   "fragments",      "limits",     "timeouts",  "reply_locality",
                    "port",       "route",          "pool",       "rule",      "state",
                    "service"});
    if (top.has("name")) config.name = read_name(top);
    top.read("flows", config.flows, 1024, 1 << 27);
    read_workers(top, config);

    read_word(top, "idle", idle_words, config.idle);
    config.reply_locality = top.boolean("reply_locality").value_or(false);
    constexpr std::array levels{"trace"sv, "debug"sv,    "info"sv, "warning"sv,
                                "error"sv, "critical"sv, "off"sv};
    if (const auto level = top.choice("log_level", levels)) {
        config.log_level = levels[*level];
    }
    if (const auto word = top.choice("no_room_icmp", no_room_words)) {
        config.policy.no_room_error = no_room_errors[*word];
    }
    read_word(top, "tcp_window", tcp_window_words, config.policy.tcp.window);
    config.policy.tcp.pickup = top.boolean("tcp_pickup").value_or(false);
    read_word(top, "tcp_timestamps", tcp_timestamps_words, config.policy.tcp_timestamps);
    read_word(top, "tcp_reuse", tcp_reuse_words, config.policy.tcp_reuse);
    read_word(top, "tcp_unknown", tcp_unknown_words, config.policy.tcp_unknown);
    read_control_socket(top, config.control_socket);
}

void read_control_socket(const Section& top, std::string& into) {
    const std::string expected =
        fmt::format("an absolute path of at most {} bytes", longest_socket_path);
    if (const auto path = top.text("control_socket", expected)) {
        into = path->value;
        if (!path->value.starts_with('/') || path->value.ends_with('/') ||
            path->value.size() > longest_socket_path ||
            path->value.find('\0') != std::string::npos) {
            top.fault("control_socket", fmt::format("{:?} is no path of a socket", path->value),
                      expected);
        }
    }
}

void read_state(const Section& top, Config& config) {
    config.state.keep = !config.name.empty();
    const auto section = top.table("state");
    if (!section) return;
    section->allow_only({"keep", "file"});
    if (!top.has("name")) {
        section->fault("", "flows are kept for an instance that has a name",
                       "`name = \"...\"` at the top of the file");
    }
    config.state.keep = section->boolean("keep").value_or(config.state.keep);
    const std::string expected = "an absolute path of a file on a tmpfs or a hugetlbfs";
    if (const auto path = section->text("file", expected)) {
        config.state.file = path->value;
        if (!path->value.starts_with('/') || path->value.ends_with('/') ||
            path->value.find('\0') != std::string::npos)
            section->fault("file", fmt::format("{:?} is no path of a file", path->value), expected);
    }
}

void read_memory(const Section& top, Config& config) {
    const auto section = top.table("memory");
    if (!section) return;
    section->allow_only({"huge_pages", "dpdk_megabytes", "packet_buffers"});
    read_word(*section, "huge_pages", huge_pages_words, config.memory.huge_pages);
    section->read("dpdk_megabytes", config.memory.dpdk_megabytes, 0, 1 << 20);
    section->read("packet_buffers", config.memory.packet_buffers, 0, 1 << 26);
}

void read_neighbors(const Section& top, Config& config) {
    const auto section = top.table("neighbors");
    if (!section) return;
    section->allow_only({"refresh_s", "queue_packets", "capacity"});
    section->read("refresh_s", config.neighbors.refresh_s, 1, 3600);
    section->read("queue_packets", config.neighbors.queue_packets, 1, 1 << 16);
    section->read("capacity", config.neighbors.capacity, 16, 1 << 20);
}

void read_fragments(const Section& top, Config& config) {
    const auto section = top.table("fragments");
    if (!section) return;
    section->allow_only({"capacity", "per_source", "timeout_ms"});
    FragmentsConfig& fragments = config.fragments;
    section->read("capacity", fragments.capacity, 0, 1 << 16);
    section->read("per_source", fragments.per_source, 2, 1 << 16);
    section->read("timeout_ms", fragments.timeout_ms, 100, 60'000);
    if (!section->has("per_source")) {
        // The default would hardly be a bound: a quarter of what is kept.
        if (fragments.capacity < fragments.per_source * 4)
            fragments.per_source = std::max(2U, fragments.capacity / 4);
    } else if (!section->is_faulty() && fragments.capacity != 0 &&
               fragments.per_source > fragments.capacity) {
        section->fault(
            "per_source",
            fmt::format("one source may hold {} fragments, and all sources together only {}",
                        fragments.per_source, fragments.capacity),
            fmt::format("at most {}, or a higher `capacity`", fragments.capacity));
    }
}

void read_timeouts(const Section& top, Config& config) {
    const auto section = top.table("timeouts");
    if (!section) return;
    std::vector<std::string_view> known{"below_rfc_floor", "inbound_refresh"};
    for (const TimeoutKey& timeout : timeout_keys)
        known.push_back(timeout.key);
    section->allow_only(known);

    config.timeouts.inbound_refresh = section->boolean("inbound_refresh").value_or(true);
    const bool below_floor =
        section->boolean("below_rfc_floor").value_or(section->has("below_rfc_floor"));
    for (const TimeoutKey& timeout : timeout_keys) {
        std::uint32_t& value = config.timeouts.*timeout.member;
        section->read(timeout.key, value, 1, 2'000'000);
        if (value < timeout.floor_s && !below_floor) {
            section->fault(timeout.key,
                           fmt::format("{} s is below the floor of {}", value, timeout.clause),
                           fmt::format("at least {}, or `below_rfc_floor = true` in [timeouts] "
                                       "where no application depends on it",
                                       timeout.floor_s));
        }
    }
}

}  // namespace noclash::dpdk
