// SPDX-License-Identifier: Apache-2.0
#include "tools/health/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <unordered_map>

#include "dpdk/config/config_file.hpp"
#include "dpdk/config/reader.hpp"
#include "dpdk/config/sections.hpp"
#include "dpdk/config/values.hpp"
#include "tools/health/dns_message.hpp"

namespace noclash::health {

namespace {

using dpdk::Section;
using dpdk::Text;

constexpr std::int64_t day_ms = 86'400'000;
constexpr std::int64_t least_status = 100;
constexpr std::int64_t most_status = 599;

/// Keys of `[[check]]` that only some kinds use.
struct KeyOfKinds {
    std::string_view key;
    std::vector<Kind> kinds;
};
const std::vector<KeyOfKinds>& keys_of_kinds() {
    static const std::vector<KeyOfKinds> keys{
        {"port", {Kind::tcp, Kind::http, Kind::https, Kind::dns}},
        {"path", {Kind::http, Kind::https}},
        {"host", {Kind::http, Kind::https}},
        {"status", {Kind::http, Kind::https}},
        {"verify", {Kind::https}},
        {"ca_file", {Kind::https}},
        {"name", {Kind::dns}},
        {"nxdomain", {Kind::dns}},
    };
    return keys;
}

/// Whether all characters may stand in a request line or a header.
bool is_plain(std::string_view text) {
    return std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

/// `[defaults]` and `[[check]]` share these keys.
void read_rhythm(const Section& section, Check& check) {
    section.read("interval_ms", check.interval_ms, 10, day_ms);
    section.read("timeout_ms", check.timeout_ms, 1, day_ms);
    section.read("rise", check.rise, 1, 1000);
    section.read("fall", check.fall, 1, 1000);
    section.read("jitter_percent", check.jitter_percent, 0, 50);
}

/// Reads a text that `is_fit`; else notes `what` of it.
template <class IsFit>
void read_text(const Section& section, std::string_view key, std::string& into,
               std::string_view what, std::string_view expected, IsFit is_fit) {
    const auto text = section.text(key, expected);
    if (!text) return;
    if (!is_fit(text->value))
        section.fault(key, fmt::format("{:?} is {}", text->value, what), expected);
    into = text->value;
}

void read_services(const Section& section, Check& check,
                   std::unordered_map<std::string, std::uint32_t>& lines) {
    constexpr std::string_view expected = "names of services";
    if (section.has("service") == section.has("services")) {
        section.fault(section.has("service") ? "services" : "service",
                      section.has("service") ? "stands beside service" : "is missing",
                      "either `service`, a name, or `services`, an array of names");
        return;
    }
    const std::string_view key = section.has("service") ? "service" : "services";
    for (const Text& name : section.texts(key, expected)) {
        if (name.value.empty()) section.fault_at(name.where, key, "is empty", expected);
        const auto [known, fresh] = lines.emplace(name.value, name.where.line);
        if (!fresh)
            section.fault_at(name.where, key,
                             fmt::format("{:?} has a check in line {}", name.value, known->second),
                             "one check for each service");
        check.services.push_back(name.value);
    }
}

void refuse_keys_of_others(const Section& section, Kind kind) {
    for (const KeyOfKinds& known : keys_of_kinds()) {
        if (!section.has(known.key) || std::ranges::find(known.kinds, kind) != known.kinds.end())
            continue;
        std::vector<std::string_view> words;
        for (const Kind one : known.kinds)
            words.push_back(to_text(one));
        section.fault(known.key, fmt::format("is of no use for kind \"{}\"", to_text(kind)),
                      fmt::format("it with kind \"{}\" only", fmt::join(words, "\" or \"")));
    }
}

std::optional<StatusRange> parse_status(std::string_view text) {
    const auto range = dpdk::parse_port_range(text);
    if (!range || range->first < least_status || range->last > most_status) return std::nullopt;
    return StatusRange{range->first, range->last};
}

void read_statuses(const Section& section, Check& check) {
    const std::string expected = fmt::format(
        "a status such as \"200\", a range such as \"200-399\" of {} to {}, or an array "
        "of them",
        least_status, most_status);
    const std::vector<Text> texts = section.texts("status", expected);
    if (texts.empty()) return;
    check.statuses.clear();
    std::vector<std::string_view> words;
    for (const Text& text : texts) {
        const auto range = parse_status(text.value);
        if (range) {
            check.statuses.push_back(*range);
        } else {
            section.fault_at(text.where, "status", fmt::format("{:?} is no status", text.value),
                             expected);
        }
        words.push_back(text.value);
    }
    check.status_text = fmt::format("{}", fmt::join(words, ", "));
}

void read_http(const Section& section, Check& check) {
    read_text(section, "path", check.path, "no path", "a path such as \"/health\", without blanks",
              [](const std::string& path) { return path.starts_with('/') && is_plain(path); });
    read_text(section, "host", check.host, "no name of a host",
              "a name such as \"www.example.org\", without a port", [](const std::string& host) {
                  return !host.empty() && is_plain(host) &&
                         host.find_first_of("/:?#@[]%\\") == std::string::npos;
              });
    read_statuses(section, check);
    if (const auto verify = section.boolean("verify")) check.verify = *verify;
    read_text(section, "ca_file", check.ca_file, "no file that can be read",
              "a file of certificates in PEM",
              [](const std::string& file) { return ::access(file.c_str(), R_OK) == 0; });
    if (!check.verify && section.has("ca_file"))
        section.fault("ca_file", "is of no use without verification", "it with verify = true only");
}

void read_dns(const Section& section, Check& check) {
    constexpr std::string_view expected = "the name to ask for, such as \"example.org\"";
    if (check.kind == Kind::dns && !section.require("name", expected)) return;
    read_text(section, "name", check.question, "no name of DNS", expected, is_dns_name);
    if (const auto nxdomain = section.boolean("nxdomain")) check.nxdomain = *nxdomain;
}

void read_way(const Section& section, Check& check) {
    read_text(section, "interface", check.interface, "no name of an interface",
              fmt::format("at most {} characters", IFNAMSIZ - 1), [](const std::string& name) {
                  return is_plain(name) && name.size() < IFNAMSIZ && !name.empty() &&
                         name.find('/') == std::string::npos;
              });
    constexpr std::string_view expected = "an IPv4 address of this machine, such as \"10.1.0.9\"";
    const auto source = section.text("source", expected);
    if (!source) return;
    check.source = dpdk::parse_v4(source->value);
    if (!check.source)
        section.fault("source", fmt::format("{:?} is no address", source->value), expected);
}

Check read_check(const Section& section, const Check& defaults,
                 std::unordered_map<std::string, std::uint32_t>& lines) {
    Check check = defaults;
    check.line = section.line();
    section.allow_only({"service", "services", "kind", "port", "path", "host", "status", "verify",
                        "ca_file", "name", "nxdomain", "source", "interface", "interval_ms",
                        "timeout_ms", "rise", "fall", "jitter_percent"});
    read_services(section, check, lines);
    if (section.require("kind", fmt::format("\"{}\"", fmt::join(kind_words, "\" or \"")))) {
        dpdk::read_word(section, "kind", kind_words, check.kind);
        if (!section.is_faulty()) refuse_keys_of_others(section, check.kind);
    }
    if (const auto port = section.integer("port", 1, 65535))
        check.port = static_cast<std::uint16_t>(*port);
    read_http(section, check);
    read_dns(section, check);
    read_way(section, check);
    read_rhythm(section, check);
    if (!section.is_faulty() && check.timeout_ms > check.interval_ms)
        section.fault(section.has("timeout_ms") ? "timeout_ms" : "interval_ms",
                      fmt::format("a timeout of {} ms is longer than the interval of {} ms",
                                  check.timeout_ms, check.interval_ms),
                      "timeout_ms to be at most interval_ms");
    return check;
}

}  // namespace

Config parse_config(std::string_view text, const std::string& file) {
    dpdk::Findings findings(file);
    Config config;
    config.file = file;
    try {
        const toml::table table = toml::parse(text, std::string_view(file));
        const Section top(table, "", findings);
        top.allow_only(
            {"control_socket", "max_checks_per_s", "max_in_flight", "defaults", "check"});
        dpdk::read_control_socket(top, config.control_socket);
        top.read("max_checks_per_s", config.ceilings.checks_per_s, 1, 100'000);
        top.read("max_in_flight", config.ceilings.in_flight, 1, 100'000);
        Check defaults;
        if (const auto section = top.table("defaults")) {
            section->allow_only({"interval_ms", "timeout_ms", "rise", "fall", "jitter_percent"});
            read_rhythm(*section, defaults);
        }
        top.require("check", "a [[check]] at least");
        std::unordered_map<std::string, std::uint32_t> lines;
        for (const Section& section : top.tables("check"))
            config.checks.push_back(read_check(section, defaults, lines));
    } catch (const toml::parse_error& error) {
        findings.add_syntax_error(error);
    }
    (void)findings.take();
    return config;
}

Config load_config(const std::string& file) {
    return parse_config(dpdk::read_config_file(file), file);
}

}  // namespace noclash::health
