// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/commands.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "tools/noclashctl/client.hpp"
#include "tools/noclashctl/output.hpp"
#include "tools/noclashctl/ports_text.hpp"
#include "tools/noclashctl/tables.hpp"

namespace noclash::tools {

namespace {

using nlohmann::json;

json request_for(const std::string& command, const FlowFilter& filter) {
    json fields = json::object();
    const auto put = [&](const char* key, const auto& value) {
        if (value) fields[key] = *value;
    };
    put("source", filter.source);
    put("destination", filter.destination);
    put("address", filter.address);
    put("source_port", filter.source_port);
    put("destination_port", filter.destination_port);
    put("port", filter.port);
    put("protocol", filter.protocol);
    put("state", filter.state);
    return {{"command", command}, {"filter", fields}};
}

json flush_json(const FlowFilter& filter, EndsHear hear) {
    json request = request_for("flows flush", filter);
    if (hear == EndsHear::resets) request["reset"] = true;
    return request;
}

void append_fields(std::string& text, const nlohmann::ordered_json& object,
                   const std::string& prefix) {
    for (const auto& [key, value] : object.items()) {
        if (value.is_object()) {
            append_fields(text, value, prefix + key + '.');
        } else {
            const std::string shown = value.is_null()     ? "-"
                                      : value.is_string() ? value.get<std::string>()
                                                          : value.dump();
            text += fmt::format("{:28}{}\n", prefix + key, shown);
        }
    }
}

/// Prints every row as it comes: as it is for programs, through `text_of` for people.
/// @return how many came
template <class TextOf>
std::size_t stream(const Settings& settings, const json& request, TextOf text_of) {
    Client client(settings.socket, settings.timeout_s);
    std::size_t rows = 0;
    if (settings.format == Format::json) {
        JsonArray array;
        client.call(request, [&](std::string_view row) {
            array.add(row);
            ++rows;
        });
        array.close();
    } else {
        client.call(request, [&](std::string_view row) {
            print(text_of(row));
            ++rows;
        });
    }
    return rows;
}

/// A row that is a JSON string, as a line. Most have nothing to be unescaped.
std::string line_of(std::string_view row) {
    if (row.size() >= 2 && row.front() == '"' && row.find('\\') == std::string_view::npos)
        return std::string(row.substr(1, row.size() - 2)) + '\n';
    return json::parse(row).get<std::string>() + '\n';
}

/// Every field of a row, one a line in its order, with a blank line behind.
std::string details_of(std::string_view row) {
    std::string text;
    append_fields(text, nlohmann::ordered_json::parse(row), "");
    return text + '\n';
}

/// Prints the rows together: as they are for programs, through `text_of` for people.
template <class TextOf>
void gather(const Settings& settings, const json& request, TextOf text_of) {
    std::vector<json> rows;
    stream(settings, request, [&](std::string_view row) {
        rows.push_back(json::parse(row));
        return std::string();
    });
    if (settings.format == Format::text) print(text_of(rows));
}

void gather_table(const Settings& settings, const std::string& command,
                  const std::vector<std::string>& columns) {
    gather(settings, json{{"command", command}},
           [&](const std::vector<json>& rows) { return rows_table(rows, columns); });
}

}  // namespace

std::string flow_request(const std::string& command, const FlowFilter& filter) {
    return request_for(command, filter).dump();
}

void list_flows(const Settings& settings, const FlowFilter& filter) {
    json request = request_for("flows list", filter);
    // The daemon writes the lines: to parse a million objects takes longer than all the rest.
    if (settings.format == Format::text) request["format"] = "text";
    stream(settings, request, line_of);
}

bool show_flows(const Settings& settings, const FlowFilter& filter) {
    return stream(settings, request_for("flows list", filter), details_of) > 0;
}

void count_flows(const Settings& settings, const FlowFilter& filter) {
    stream(settings, request_for("flows count", filter), [](std::string_view row) {
        return fmt::format("{}\n", json::parse(row).at("count").get<std::uint64_t>());
    });
}

std::string flush_request(const FlowFilter& filter, EndsHear hear) {
    return flush_json(filter, hear).dump();
}

void flush_flows(const Settings& settings, const FlowFilter& filter, EndsHear hear) {
    stream(settings, flush_json(filter, hear), [hear](std::string_view row) {
        const json done = json::parse(row);
        const auto number = [&done](const char* key) { return done.at(key).get<std::uint64_t>(); };
        std::string text = fmt::format("{} flows removed", number("flushed"));
        if (hear == EndsHear::resets) text += fmt::format(", {} of them reset", number("reset"));
        if (const std::uint64_t untold = number("untold"); untold > 0)
            text += fmt::format("; a busy worker left {} untold until they send something", untold);
        return text + '\n';
    });
}

void show_stats(const Settings& settings) {
    gather(settings, json{{"command", "stats"}}, stats_text);
    if (settings.format == Format::text) gather(settings, json{{"command", "ports"}}, losses_text);
}

void show_ports(const Settings& settings) {
    gather(settings, json{{"command", "ports"}}, ports_text);
}

void show_neighbors(const Settings& settings) {
    gather_table(settings, "neighbors", {"port", "address", "mac", "state", "age_s"});
}

void show_rules(const Settings& settings) {
    gather_table(settings, "rules",
                 {"index", "name", "match", "action", "hits", "half_open", "unanswered"});
}

void show_subscribers(const Settings& settings, std::optional<std::uint32_t> top) {
    json request{{"command", "subscribers"}};
    if (top) request["top"] = *top;
    gather(settings, request, [](const std::vector<json>& rows) {
        return rows_table(rows,
                          {"address", "flows", "tcp_ports", "udp_ports", "icmp_ids", "half_open"});
    });
}

void show_memory(const Settings& settings) {
    gather_table(settings, "memory", {"what", "bytes", "pages"});
}

void show_version(const Settings& settings) {
    if (settings.format == Format::text) print("noclashctl " NOCLASH_VERSION "\n");
    stream(settings, json{{"command", "version"}}, [](std::string_view row) {
        const json version = json::parse(row);
        return fmt::format(
            "noclash {}, {}, up for {} s\n", version.at("version").get<std::string>(),
            version.at("dpdk").get<std::string>(), version.at("uptime_s").get<std::uint64_t>());
    });
}

}  // namespace noclash::tools
