// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

#include "dpdk/device_string.hpp"
#include "tools/cpsload/connection.hpp"
#include "tools/cpsload/option_help.hpp"
#include "tools/cpsload/option_text.hpp"
#include "tools/cpsload/plan.hpp"

namespace noclash::cpsload {
namespace {

/// As typed.
struct CommandLine {
    std::string profile = "tcp-crr";
    std::string client_address, server_address, client_gateway, server_gateway, first_source;
    std::vector<std::string> services, backends;
    std::string mix = "tcp-crr=6,udp=3,dns=1";
    std::string ports = "1024-65535";
    std::string order = "step";
    std::string ramp;
    std::string rate = "5000";
    std::string measure;
    std::string idle = "nap";
    std::string huge_pages = "auto";
    std::uint64_t connections = 0;
    double duration_s = 0, reuse_after_s = 240, trial_s = 3, pause_s = 1;
    std::uint32_t rto_ms = 1000;
    bool search = false;
    bool no_self_test = false;
};

Time time_of(double seconds) {
    return static_cast<Time>(seconds * static_cast<double>(second));
}

void add_where(CLI::App& app, CommandLine& line, Options& options) {
    const std::string where = "Where";
    app.add_option("--client", options.client.device, "device of the side that connects")
        ->group(where);
    app.add_option("--server", options.server.device, "device of the side that answers")
        ->group(where);
    app.add_option("--client-address", line.client_address, "ADDRESS/LENGTH of that side")
        ->group(where);
    app.add_option("--server-address", line.server_address, "ADDRESS/LENGTH of that side")
        ->group(where);
    app.add_option("--client-gateway", line.client_gateway,
                   "next hop; the address of the first service when not given")
        ->group(where);
    app.add_option("--server-gateway", line.server_gateway,
                   "next hop; the first address of the server's subnet when not given")
        ->group(where);
    app.add_option("--mtu", options.mtu, "of both devices")
        ->check(CLI::Range(576, 9600))
        ->group(where)
        ->capture_default_str();
    app.add_option("--descriptors", options.descriptors, "of each receive and transmit queue")
        ->check(CLI::Range(64, 16384))
        ->group(where)
        ->capture_default_str();
    app.add_option("--core", options.core, "the CPU to run on; any when not given")->group(where);
    app.add_option("--idle", line.idle,
                   "nap: sleep 20 us when there is nothing to do; poll: take the whole core")
        ->check(CLI::IsMember({"nap", "poll"}))
        ->group(where)
        ->capture_default_str();
    app.add_option("--huge-pages", line.huge_pages, "as in noclash's configuration")
        ->check(CLI::IsMember({"auto", "required", "none"}))
        ->group(where)
        ->capture_default_str();
}

void add_what(CLI::App& app, CommandLine& line, Settings& settings) {
    const std::string what = "What";
    app.add_option("--profile", line.profile, "what connections do (see above)")
        ->check(CLI::IsMember({"tcp-crr", "tcp-syn", "udp", "dns", "lb", "mix"}))
        ->group(what)
        ->capture_default_str();
    app.add_option("--service", line.services,
                   "ADDRESS:PORT to connect to; repeat it for several NodePorts or servers. "
                   "For mix with /tcp, /udp or /dns behind")
        ->group(what);
    app.add_option("--backend", line.backends,
                   "ADDRESS[:PORT] where connections may arrive; repeat it. The server's address, "
                   "any port, when not given")
        ->group(what);
    app.add_option("--mix", line.mix, "shares of the kinds in --profile mix")
        ->group(what)
        ->capture_default_str();
    app.add_option("--first-source", line.first_source,
                   "source address; the client's when not given")
        ->group(what);
    app.add_option("--sources", settings.sources,
                   "source addresses, from the first one on; lb: 16 when not given")
        ->check(CLI::Range(1, 65536))
        ->group(what);
    app.add_option("--source-ports", line.ports, "FIRST-LAST")->group(what)->capture_default_str();
    app.add_option("--port-order", line.order,
                   "step: all addresses use the same port at the same time; shuffled: each has an "
                   "order of its own")
        ->check(CLI::IsMember({"step", "shuffled"}))
        ->group(what)
        ->capture_default_str();
    app.add_option("--payload", settings.payload_bytes, "bytes of a request, and of its echo")
        ->check(CLI::Range(least_payload, most_payload))
        ->group(what)
        ->capture_default_str();
    app.add_option("--in-flight", settings.in_flight, "connections at a time, at most")
        ->check(CLI::Range(1U, most_in_flight))
        ->group(what)
        ->capture_default_str();
    app.add_option("--rto-ms", line.rto_ms, "until the first retransmission; doubles with each")
        ->check(CLI::Range(10, 60'000))
        ->group(what)
        ->capture_default_str();
    app.add_option("--retries", settings.retries, "retransmissions until a connection is lost")
        ->check(CLI::Range(0U, most_retries))
        ->group(what)
        ->capture_default_str();
    app.add_option("--reuse-after", line.reuse_after_s,
                   "seconds for which the gateway may keep a closed connection: no source tuple is "
                   "used again before. 0 where a SYN opens a closed connection anew, as noclash "
                   "and Linux do")
        ->check(CLI::Range(0.0, 86'400.0))
        ->group(what)
        ->capture_default_str();
}

void add_how_much(CLI::App& app, CommandLine& line, Options& options) {
    const std::string how = "How much";
    app.add_option("--connections", line.connections, "to open")
        ->check(CLI::Range(1UL, 1'000'000'000'000UL))
        ->group(how);
    app.add_option("--duration", line.duration_s, "seconds to go on opening")
        ->check(CLI::Range(0.01, 1e6))
        ->group(how);
    auto* rate = app.add_option("--rate", line.rate,
                                "connections a second, or max: as many as --in-flight lets")
                     ->group(how)
                     ->capture_default_str();
    app.add_option("--ramp", line.ramp, "FROM:TO:SECONDS: a rate that changes evenly")
        ->group(how)
        ->excludes(rate);
    app.add_flag("--search", line.search, "find the highest rate with loss <= --max-loss")
        ->group(how)
        ->excludes(rate)
        ->excludes("--ramp");
    app.add_option("--measure", line.measure,
                   "as RFC 9693 does: establishment (search with openings alone), teardown (time "
                   "to close --connections), capacity (how many of --connections it keeps)")
        ->check(CLI::IsMember({"establishment", "teardown", "capacity"}))
        ->group(how);
    app.add_option("--max-loss", options.search.max_loss,
                   "share of the connections that may fail or need a retransmission")
        ->check(CLI::Range(0.0, 0.5))
        ->group(how)
        ->capture_default_str();
    app.add_option("--search-from", options.search.from_cps, "rate of the first trial")
        ->check(CLI::Range(1.0, 1e7))
        ->group(how)
        ->capture_default_str();
    app.add_option("--search-to", options.search.to_cps, "highest rate of a trial")
        ->check(CLI::Range(1.0, 1e7))
        ->group(how)
        ->capture_default_str();
    app.add_option("--attempts", options.search.attempts,
                   "trials of a rate, one of which must pass")
        ->check(CLI::Range(1, 100))
        ->group(how)
        ->capture_default_str();
    app.add_option("--trial-seconds", line.trial_s, "of each rate that is tried")
        ->check(CLI::Range(0.1, 3600.0))
        ->group(how)
        ->capture_default_str();
    app.add_option("--pause-seconds", line.pause_s, "between trials")
        ->check(CLI::Range(0.0, 3600.0))
        ->group(how)
        ->capture_default_str();
    app.add_flag("--self-test", options.self_test,
                 "run both sides back to back, without a gateway and without devices");
    app.add_flag("--no-self-test", line.no_self_test,
                 "do not measure the tester's own ceiling first (half a second)");
    app.add_flag("--json", options.json, "print the result as one JSON object");
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

/// Which services a kind uses: those with its suffix in a mix, else all.
std::vector<Endpoint> services_for(Kind kind, const std::vector<ServiceText>& services, bool mix) {
    const std::string suffix = is_tcp(kind) ? "tcp" : std::string(kind_names[std::size_t(kind)]);
    std::vector<Endpoint> chosen;
    for (const ServiceText& service : services)
        if (!mix || service.suffix == suffix) chosen.push_back(service.endpoint);
    if (chosen.empty())
        throw UsageError(fmt::format("--service: none with /{} for the share of {} in the mix",
                                     suffix, kind_names[std::size_t(kind)]));
    if (chosen.size() > 256) throw UsageError("--service: at most 256 of a kind");
    for (const Endpoint& one : chosen)
        if (std::ranges::count(chosen, one) > 1)
            throw UsageError(fmt::format("--service: {}:{} stands there twice",
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
            settings.traffic.push_back({kind, share, services_for(kind, services, true)});
    } else {
        const Kind kind = kind_of(options.profile, options.measure);
        settings.traffic.push_back({kind, 1, services_for(kind, services, false)});
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
        throw UsageError("--search: --measure has a way of its own; give one of the two");
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

void check_identity(const Options& options) {
    const Settings& settings = options.settings;
    if (!Identity(std::bit_ceil(std::max(settings.in_flight, 2U)), settings.payload_bytes).fits())
        throw UsageError(fmt::format(
            "--payload {} with {} connections in flight: a sequence number cannot name them all; "
            "lower one of the two",
            settings.payload_bytes, settings.in_flight));
    if (settings.first_source.value.host() > UINT32_MAX - settings.sources)
        throw UsageError("--sources: they go beyond the last address");
}

/// Whether the source tuples suffice for the run without being used again too early.
void check_tuples(const Options& options) {
    const Settings& settings = options.settings;
    std::uint64_t weights = 0;
    for (const Traffic& traffic : settings.traffic)
        weights += traffic.weight;
    for (const Traffic& traffic : settings.traffic) {
        const double there = static_cast<double>(Plan::tuples(settings, traffic));
        if (there > 2e9)
            throw UsageError(
                "--sources: more than 2,000,000,000 tuples; fewer addresses, ports or "
                "services will do");
        const double share = static_cast<double>(traffic.weight) / static_cast<double>(weights);
        const double rate = std::max(options.schedule.from_cps, options.schedule.to_cps) * share;
        const double wanted = std::min(static_cast<double>(options.connections) * share,
                                       options.duration == UINT64_MAX || rate == 0
                                           ? INFINITY
                                           : rate * static_cast<double>(options.duration) / 1e9);
        if (options.self_test || options.measure == Measure::search ||
            options.measure == Measure::establishment || wanted <= there)
            continue;
        const double again_s = rate == 0 ? 0 : there / rate;
        if (traffic.kind == Kind::syn)
            throw UsageError(fmt::format(
                "{:.0f} connections that stay open need more source tuples than the {:.0f} that "
                "--sources, --source-ports and --service make; give {:.0f} --sources",
                wanted, there, std::ceil(wanted / there * settings.sources)));
        if (again_s * 1e9 >= static_cast<double>(options.reuse_after)) continue;
        throw UsageError(fmt::format(
            "{} connections of {} at {} need more source tuples than the {:.0f} that --sources, "
            "--source-ports and --service make: the first would be used again after {:.0f} s, "
            "while "
            "the gateway may keep it for {:.0f} s (--reuse-after). Give {:.0f} --sources, or lower "
            "--rate, or say --reuse-after 0 where a SYN opens a closed connection anew, as with "
            "noclash and Linux",
            wanted == INFINITY ? std::string("all") : fmt::format("{:.0f}", wanted),
            kind_names[std::size_t(traffic.kind)],
            rate == 0 ? std::string("the highest rate") : fmt::format("{:.0f}/s", rate), there,
            again_s, static_cast<double>(options.reuse_after) / 1e9,
            std::ceil(std::min(wanted,
                               rate == 0 ? wanted
                                         : rate * static_cast<double>(options.reuse_after) / 1e9) /
                      there * settings.sources)));
    }
}

Measure measure_of(const std::string& name) {
    if (name == "establishment") return Measure::establishment;
    if (name == "teardown") return Measure::teardown;
    if (name == "capacity") return Measure::capacity;
    return Measure::run;
}

}  // namespace

ParsedCommandLine read_options(int argc, char** argv) {
    CommandLine line;
    Options options;
    CLI::App app{std::string(help_head), "cpsload"};
    app.footer(std::string(help_foot));
    add_where(app, line, options);
    add_what(app, line, options.settings);
    add_how_much(app, line, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp& help) {
        app.exit(help);
        return {};
    } catch (const CLI::ParseError& error) {
        throw UsageError(error.what());
    }
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
    check_identity(options);
    check_tuples(options);
    return {options};
}

}  // namespace noclash::cpsload
