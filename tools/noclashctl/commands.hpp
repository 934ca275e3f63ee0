// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace noclash::tools {

enum class Format { text, json };

/// The settings of all commands.
struct Settings {
    std::string socket = "/run/noclash/control.sock";
    Format format = Format::text;
    unsigned timeout_s = 10;  ///< so long may the daemon be silent
};

/// Which flows are meant; what is absent matches any. The daemon does the matching: `source`,
/// `destination` and their ports against the original direction, `address` and `port` against
/// either end of either direction.
struct FlowFilter {
    std::optional<std::string> source;
    std::optional<std::string> destination;
    std::optional<std::string> address;
    std::optional<std::uint16_t> source_port;
    std::optional<std::uint16_t> destination_port;
    std::optional<std::uint16_t> port;
    std::optional<std::string> protocol;
    std::optional<std::string> state;
};

/// The request that a command on flows sends, as JSON text without a line end.
[[nodiscard]] std::string flow_request(const std::string& command, const FlowFilter& filter);

/// Each talks to the daemon and prints what it answers.
/// @throws NoDaemon, DaemonError
void list_flows(const Settings& settings, const FlowFilter& filter);
/// @return whether there are such flows
bool show_flows(const Settings& settings, const FlowFilter& filter);
void count_flows(const Settings& settings, const FlowFilter& filter);

/// What the ends of a TCP connection hear when it is flushed.
enum class EndsHear { nothing, resets };

/// The request of `flush_flows`, as JSON text without a line end.
[[nodiscard]] std::string flush_request(const FlowFilter& filter, EndsHear hear);
void flush_flows(const Settings& settings, const FlowFilter& filter, EndsHear hear);
void show_stats(const Settings& settings);
void show_ports(const Settings& settings);
void show_neighbors(const Settings& settings);
void show_rules(const Settings& settings);
/// @param top  only so many of those that hold most flows; absent: all
void show_subscribers(const Settings& settings, std::optional<std::uint32_t> top);
void show_memory(const Settings& settings);
void show_version(const Settings& settings);

/// @param name  only this service; absent: all
/// @return whether it is there
bool show_services(const Settings& settings, const std::optional<std::string>& name);
/// @param changes  an array, as docs/json.md describes it
/// @throws NoDaemon; std::runtime_error when nothing was changed
void change_services(const Settings& settings, nlohmann::json changes);

/// The effect of a warning about a configuration.
enum class Warnings {
    tolerated,
    refused,  ///< a configuration with one is not fit for use
};

/// Needs no daemon. @return whether the configuration is fit for use
bool check_config(const Settings& settings, const std::string& file, Warnings warnings);

/// Which flows end that a configuration would not set up any more.
enum class StaleFlows {
    as_rules_say,  ///< those of rules that had `on_change = "end"`
    ended,         ///< all of them
};

/// The requests that the next two send, as JSON text without a line end.
[[nodiscard]] std::string reload_request(StaleFlows stale);
[[nodiscard]] std::string diff_request(const std::string& file, StaleFlows stale);

/// Has noclash read its configuration file anew, and prints what has changed.
/// @throws NoDaemon; std::runtime_error when nothing was changed, for the file is faulty or
/// something
///         needs a restart
void reload_config(const Settings& settings, StaleFlows stale);

/// Prints what a reload would change if `file` were the configuration.
/// @return whether it could be one
/// @throws NoDaemon
bool diff_config(const Settings& settings, const std::string& file, StaleFlows stale);

}  // namespace noclash::tools
