// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/service_program.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "dpdk/config/services.hpp"
#include "dpdk/config/words.hpp"
#include "nat/policy/service.hpp"
#include "tools/noclashctl/options.hpp"
#include "tools/noclashctl/service_changes.hpp"
#include "tools/noclashctl/usage.hpp"

namespace noclash::tools {

namespace {

using nlohmann::json;

constexpr const char* about_service =
    R"(What these commands make lives until `service remove`: over reloads, and over restarts of an
instance with a name. A service of the configuration file is changed there, and `noclashctl reload`
takes the change over; only `drain` and `undrain` work on both. A change that is in force already
is no error. `noclashctl services` shows all services.)";

constexpr const char* about_apply =
    R"(FILE is a JSON array. Its elements are services, with the keys of a [[service]] in the
configuration file, or changes:
  {"op":"set","service":{...}}              as a service alone
  {"op":"remove","name":"web"}
  {"op":"set_backend","name":"web","backend":"10.2.0.2:80","weight":1}
  {"op":"remove_backend","name":"web","backend":"10.2.0.2:80"}
  {"op":"drain","name":"web","backend":"10.2.0.2:80"}, and "undrain"
  {"op":"health","name":"web","backend":"10.2.0.2:80","up":false}
They are made in their order, all of them or, when one is faulty, none.)";

constexpr std::array<std::string_view, 3> protocols{"tcp", "udp", "sctp"};

CLI::Validator backend() {
    const auto check = [](std::string& text) {
        if (dpdk::parse_backend(text)) return std::string();
        return fmt::format("{} is no backend: expected {}", text, dpdk::backend_form);
    };
    return {check, ""};
}

/// What `--inhibit` stands for in the configuration; nothing when it stands for nothing.
std::optional<json> inhibit_of(const std::string& text) {
    if (text == "on" || text == "off") return json(text == "on");
    std::array<std::uint32_t, 3> numbers{};
    const char* at = text.data();
    const char* const end = at + text.size();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (i > 0 && (at == end || *at++ != ',')) return std::nullopt;
        const auto [rest, error] = std::from_chars(at, end, numbers[i]);
        if (error != std::errc()) return std::nullopt;
        at = rest;
    }
    const auto [failures, first_s, most_s] = numbers;
    const bool fits = at == end && failures >= 1 && failures <= dpdk::most_inhibit_failures &&
                      first_s >= 1 && first_s <= most_s && most_s <= dpdk::longest_inhibit_s;
    if (!fits) return std::nullopt;
    return json{{"failures", failures}, {"first_s", first_s}, {"most_s", most_s}};
}

CLI::Validator inhibit() {
    const auto check = [](std::string& text) {
        if (inhibit_of(text)) return std::string();
        return fmt::format(
            "{} is no rule: expected on, off, or failures in a row, seconds and the most seconds, "
            "as 3,10,300",
            text);
    };
    return {check, ""};
}

template <class Words>
CLI::Validator one_of(const Words& words) {
    const auto check =
        [known = std::vector<std::string>(words.begin(), words.end())](std::string& text) {
            if (std::ranges::find(known, text) != known.end()) return std::string();
            return fmt::format("{} is not known: expected {}{}", text, fmt::join(known, ", "),
                               suggestion(text, known));
        };
    return {check, ""};
}

json service_of(const ServiceWish& wish) {
    const ServiceWish::Keys& keys = wish.keys;
    json service{{"name", wish.name},
                 {"address", keys.address},
                 {"ports", keys.ports},
                 {"protocol", keys.protocol},
                 {"backends", keys.backends}};
    const auto put = [&](const char* key, const auto& value) {
        if (value) service[key] = *value;
    };
    put("in", keys.in);
    put("source", keys.source);
    put("affinity", keys.affinity);
    put("no_backend", keys.no_backend);
    put("on_gone", keys.on_gone);
    put("drain_s", keys.drain_s);
    put("syn_proxy", keys.syn_proxy);
    put("syn_proxy_above", keys.syn_proxy_above);
    if (keys.inhibit) service["inhibit"] = *inhibit_of(*keys.inhibit);
    return service;
}

void add_keys(CLI::App& command, ServiceWish::Keys& keys) {
    const auto add = [&](const char* name, auto& value, const char* type, const char* help) {
        return command.add_option(name, value, help)->type_name(type);
    };
    add("--address", keys.address, "ADDRESS", "The virtual address")->required();
    add("--ports", keys.ports, "PORT|RANGE,...", "Such as 80,8000-8010")
        ->required()
        ->delimiter(',')
        ->allow_extra_args(false);
    add("--protocol", keys.protocol, "PROTOCOL", "tcp, udp or sctp")
        ->required()
        ->check(one_of(protocols));
    add("--backend", keys.backends, "ADDRESS[:PORT],...",
        "The backends, each with weight 1; without a port: the port that the client asked for")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(backend());
    add("--in", keys.in, "NAME", "Only what comes in by this port");
    add("--source", keys.source, "SOURCE",
        "Whom backends see: keep (the client), masquerade or pool:NAME");
    add("--affinity", keys.affinity, "AFFINITY",
        "client: all flows of a source address go to one backend; else none")
        ->check(one_of(dpdk::affinity_words));
    add("--no-backend", keys.no_backend, "WHAT",
        "reject or drop: what clients hear when there is no backend")
        ->check(one_of(dpdk::no_backend_words));
    add("--on-gone", keys.on_gone, "WHAT",
        "reset or keep: TCP connections to a backend that was removed")
        ->check(one_of(dpdk::on_gone_words));
    add("--drain-s", keys.drain_s, "SECONDS",
        "So long may TCP connections to a draining backend live; 0: as long as they like")
        ->transform(number("number of seconds", 0, 86400));
    add("--syn-proxy", keys.syn_proxy, "MODE",
        "off, auto or on: answer SYNs by cookies; auto: while very many connections are half open")
        ->check(one_of(dpdk::syn_proxy_words));
    add("--syn-proxy-above", keys.syn_proxy_above, "CONNECTIONS",
        "With auto: so many half-open connections are very many")
        ->transform(number("number of connections", 1, nat::most_syn_proxy_above));
    add("--inhibit", keys.inhibit, "on|off|FAILURES,SECONDS,MOST",
        "Give a backend no new flows for SECONDS when so many openings in a row have failed, and "
        "for twice as long each time it fails again, up to MOST; on: 3,10,300")
        ->check(inhibit());
}

}  // namespace

void add_service(CLI::App& app, ServiceWish& wish,
                 const std::function<void(std::function<json()>)>& chosen) {
    CLI::App* service = app.add_subcommand("service", "Change services while traffic flows");
    service->require_subcommand(1);
    service->fallthrough();
    service->footer(about_service);
    const auto add = [&](const char* name, const char* help, std::function<json()> changes) {
        CLI::App* command = service->add_subcommand(name, help);
        command->fallthrough();
        command->callback([chosen, changes = std::move(changes)] { chosen(changes); });
        return command;
    };
    const auto add_named = [&](const char* name, const char* help, std::function<json()> changes) {
        CLI::App* command = add(name, help, std::move(changes));
        command->add_option("NAME", wish.name, "The service")->required();
        return command;
    };
    const auto add_of_backend = [&](const char* name, const char* op, const char* help,
                                    bool has_weight = false) {
        CLI::App* command = add_named(name, help, [&wish, op, has_weight] {
            json change{{"op", op}, {"name", wish.name}, {"backend", wish.backend}};
            if (has_weight) change["weight"] = wish.weight;
            return json::array({std::move(change)});
        });
        command->add_option("BACKEND", wish.backend, "ADDRESS:PORT, or ADDRESS")
            ->required()
            ->check(backend());
        return command;
    };

    add_keys(*add_named("set", "Make a service, or replace the one of this name",
                        [&wish] {
                            return json::array({{{"op", "set"}, {"service", service_of(wish)}}});
                        }),
             wish.keys);
    add_named("remove", "Remove a service", [&wish] {
        return json::array({{{"op", "remove"}, {"name", wish.name}}});
    });
    add_of_backend("set-backend", "set_backend", "Add a backend, or change its weight", true)
        ->add_option("--weight", wish.weight, "Its share of new flows; 0: it drains")
        ->transform(number("weight", 0, nat::most_weight))
        ->type_name("WEIGHT")
        ->capture_default_str();
    add_of_backend("remove-backend", "remove_backend", "Remove a backend");
    add_of_backend("drain", "drain", "Give a backend no new flows until `undrain`");
    add_of_backend("undrain", "undrain", "Give a backend new flows again");
    CLI::App* apply = add("apply", "Make all changes of a file at once, or none",
                          [&wish] { return read_changes(wish.file); });
    apply->add_option("FILE", wish.file, "-: standard input")->required();
    apply->footer(about_apply);
}

}  // namespace noclash::tools
