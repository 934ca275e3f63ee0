// SPDX-License-Identifier: Apache-2.0

// From what was typed to what it means.

#include "tools/cpsload/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <tuple>

#include "dpdk/config/device_string.hpp"
#include "tools/cpsload/command_line.hpp"
#include "tools/cpsload/option_text.hpp"

namespace noclash::cpsload {
namespace {

Time time_of(double seconds) {
    return static_cast<Time>(seconds * static_cast<double>(second));
}

void resolve_sides(const CommandLine& line, Options& options) {
    if (options.self_test) return;
    const auto demand = [](const std::string& value, const char* option) {
        if (value.empty())
            throw UsageError(
                fmt::format("{} is missing (or --self-test, which needs no device); "
                            "see --help",
                            option));
    };
    demand(options.client.device, "--client");
    demand(options.server.device, "--server");
    demand(line.client_address, "--client-address");
    demand(line.server_address, "--server-address");
    std::size_t index = 0;
    for (const auto* side : {&options.client, &options.server}) {
        dpdk::PortConfig port;
        port.device = side->device;
        const auto device = dpdk::parse_device(port, index++, 1);
        if (const auto* wrong = std::get_if<std::string>(&device))
            throw UsageError(fmt::format("{}: {}; expected {}",
                                         side == &options.client ? "--client" : "--server", *wrong,
                                         dpdk::device_forms));
    }
    if (options.client.device == options.server.device)
        throw UsageError("--client and --server are the same device");
    std::tie(options.client.address, options.client.prefix_length) =
        interface_address_of(line.client_address, "--client-address");
    std::tie(options.server.address, options.server.prefix_length) =
        interface_address_of(line.server_address, "--server-address");
}

enum class Suffixes : std::uint8_t { ignored, decide };

/// Which services a kind uses: all, or those with its suffix.
std::vector<Endpoint> services_for(Kind kind, const std::vector<ServiceText>& services,
                                   Suffixes suffixes) {
    const std::string suffix = is_tcp(kind) ? "tcp" : std::string(kind_names[std::size_t(kind)]);
    std::vector<Endpoint> chosen;
    for (const ServiceText& service : services)
        if (suffixes == Suffixes::ignored || service.suffix == suffix)
            chosen.push_back(service.endpoint);
    if (chosen.empty())
        throw UsageError(fmt::format("--service: none with /{} for the share of {} in the mix",
                                     suffix, kind_names[std::size_t(kind)]));
    if (chosen.size() > 256) throw UsageError("--service: at most 256 of a kind");
    for (const Endpoint& one : chosen)
        if (std::ranges::count(chosen, one) > 1)
            throw UsageError(fmt::format("--service: {}:{} is given twice",
                                         to_string<V4>(one.address), one.port));
    return chosen;
}

Kind kind_of(const std::string& profile, Measure measure) {
    if (measure == Measure::establishment) return Kind::syn;
    if (measure == Measure::teardown || measure == Measure::capacity) return Kind::hold;
    if (profile == "lb") return Kind::crr;
    const auto* name = std::ranges::find(kind_names, std::string_view(profile));
    return static_cast<Kind>(name - kind_names.begin());
}

void resolve_traffic(const CommandLine& line, Options& options) {
    std::vector<ServiceText> services;
    for (const std::string& text : line.services)
        services.push_back(service_of(text));
    const bool mix = options.profile == "mix";
    if (services.empty()) {
        if (!options.self_test)
            throw UsageError("--service is missing: ADDRESS:PORT that clients connect to");
        for (const char* text : {"10.2.0.2:80/tcp", "10.2.0.2:7/udp", "10.2.0.2:53/dns"})
            services.push_back(service_of(text));
        if (!mix) services.resize(1);
    }
    Settings& settings = options.settings;
    if (mix) {
        for (const auto& [kind, share] : mix_of(line.mix))
            settings.traffic.push_back(
                {kind, share, services_for(kind, services, Suffixes::decide)});
    } else {
        const Kind kind = kind_of(options.profile, options.measure);
        settings.traffic.push_back({kind, 1, services_for(kind, services, Suffixes::ignored)});
    }
    for (const std::string& text : line.backends)
        settings.backends.push_back(backend_of(text));
}

/// The addresses that each side has, and their next hops.
void resolve_addresses(const CommandLine& line, Options& options) {
    Settings& settings = options.settings;
    const auto& first_service = settings.traffic.front().services.front();
    settings.first_source =
        options.self_test ? V4Address::from_host(0x0a010002) : options.client.address;
    if (!line.first_source.empty())
        settings.first_source = address_of(line.first_source, "--first-source");
    if (options.self_test) return;

    options.client.own = {{options.client.address, 1}, {settings.first_source, settings.sources}};
    options.client.gateway = line.client_gateway.empty()
                                 ? first_service.address
                                 : address_of(line.client_gateway, "--client-gateway");
    const Prefix<V4> client_link{options.client.address, options.client.prefix_length};
    if (!client_link.contains(options.client.gateway))
        throw UsageError(fmt::format("--client-gateway: {} is not within {}; say the next hop",
                                     to_string<V4>(options.client.gateway), line.client_address));

    const Prefix<V4> server_link{options.server.address, options.server.prefix_length};
    const std::uint32_t mask = options.server.prefix_length == 32
                                   ? UINT32_MAX
                                   : ~(UINT32_MAX >> options.server.prefix_length);
    options.server.gateway =
        line.server_gateway.empty()
            ? V4Address::from_host((options.server.address.value.host() & mask) + 1)
            : address_of(line.server_gateway, "--server-gateway");
    if (!server_link.contains(options.server.gateway))
        throw UsageError(fmt::format("--server-gateway: {} is not within {}; say the next hop",
                                     to_string<V4>(options.server.gateway), line.server_address));
    options.server.own = {{options.server.address, 1}};
    // Services that are not translated are addresses of the server's own.
    for (const Traffic& traffic : settings.traffic)
        for (const Endpoint& service : traffic.services)
            if (server_link.contains(service.address) && service.address != options.server.gateway)
                options.server.own.push_back({service.address, 1});
    for (const Endpoint& backend : settings.backends)
        options.server.own.push_back({backend.address, 1});
    if (settings.backends.empty())
        for (const AddressRange& range : options.server.own)
            settings.backends.push_back({range.first, 0});
}

void resolve_rates(const CommandLine& line, bool rate_given, Options& options) {
    if (line.search && options.measure != Measure::run)
        throw UsageError("--search and --measure exclude each other; give one of the two");
    if (line.search) options.measure = Measure::search;
    if (options.measure != Measure::run && options.profile == "mix")
        throw UsageError(
            "--measure and --search need one kind of connection; --profile mix has "
            "several");
    if (!line.ramp.empty()) {
        options.schedule = ramp_of(line.ramp);
    } else if (line.rate != "max" && !(options.self_test && !rate_given)) {
        char* end = nullptr;
        options.schedule.to_cps = std::strtod(line.rate.c_str(), &end);
        if (*end != '\0' || !(options.schedule.to_cps >= 1 && options.schedule.to_cps <= 1e7))
            throw UsageError("--rate: " + line.rate + ": expected 1 to 10000000, or max");
    }
    const bool counted =
        options.measure == Measure::teardown || options.measure == Measure::capacity;
    if (line.connections != 0) options.connections = line.connections;
    if (line.duration_s != 0) options.duration = time_of(line.duration_s);
    if (counted && line.connections == 0)
        throw UsageError("--measure " + line.measure + " needs --connections");
    if (counted)
        options.settings.in_flight =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(line.connections, UINT32_MAX));
    if (options.settings.in_flight > most_in_flight)
        throw UsageError(
            fmt::format("--connections: at most {} can be held at a time", most_in_flight));
    if (options.measure == Measure::run && line.connections == 0 && line.duration_s == 0) {
        if (options.schedule.ramp > 0)
            options.duration = options.schedule.ramp;
        else
            options.duration = (options.self_test ? 3 : 10) * second;
    }
}

Measure measure_of(const std::string& name) {
    if (name == "establishment") return Measure::establishment;
    if (name == "teardown") return Measure::teardown;
    if (name == "capacity") return Measure::capacity;
    return Measure::run;
}

}  // namespace

void resolve(const CLI::App& app, const CommandLine& line, Options& options) {
    options.profile = line.profile;
    options.measure = measure_of(line.measure);
    options.measure_ceiling = !line.no_self_test;
    options.idle = line.idle == "poll" || options.self_test ? dpdk::Idle::poll : dpdk::Idle::nap;
    options.huge_pages = line.huge_pages == "auto"       ? dpdk::HugePages::automatic
                         : line.huge_pages == "required" ? dpdk::HugePages::required
                                                         : dpdk::HugePages::none;
    Settings& settings = options.settings;
    settings.order = line.order == "step" ? PortOrder::step : PortOrder::shuffled;
    settings.rto = line.rto_ms * millisecond;
    std::tie(settings.first_port, settings.last_port) = ports_of(line.ports);
    // Without a rate it is what limits the run, and few connections at a time stay in the caches.
    if (app.count("--in-flight") == 0 && options.self_test) settings.in_flight = 512;
    if (app.count("--sources") == 0 && (line.profile == "lb" || options.self_test))
        settings.sources = 16;
    options.reuse_after = options.self_test ? 0 : time_of(line.reuse_after_s);
    options.search.trial = time_of(line.trial_s);
    options.search.pause = time_of(line.pause_s);
    resolve_sides(line, options);
    resolve_rates(line, app.count("--rate") > 0, options);
    resolve_traffic(line, options);
    resolve_addresses(line, options);
}

}  // namespace noclash::cpsload
