// SPDX-License-Identifier: Apache-2.0

// The options, as CLI11 knows them.

#include "tools/cpsload/command_line.hpp"

#include <CLI/CLI.hpp>

#include "tools/cpsload/option_help.hpp"

namespace noclash::cpsload {
namespace {

void add_where(CLI::App& app, CommandLine& line, Options& options) {
    const std::string where = "Where";
    app.add_option("--client", options.client.device,
                   "device of the client, the side that connects")
        ->group(where);
    app.add_option("--server", options.server.device, "device of the server, the side that answers")
        ->group(where);
    app.add_option("--client-address", line.client_address, "ADDRESS/LENGTH of the client")
        ->group(where);
    app.add_option("--server-address", line.server_address, "ADDRESS/LENGTH of the server")
        ->group(where);
    app.add_option("--client-gateway", line.client_gateway,
                   "next hop of the client; default: the address of the first service")
        ->group(where);
    app.add_option("--server-gateway", line.server_gateway,
                   "next hop of the server; default: the first address of its subnet")
        ->group(where);
    app.add_option("--mtu", options.mtu, "MTU of both devices")
        ->check(CLI::Range(576, 9600))
        ->group(where)
        ->capture_default_str();
    app.add_option("--descriptors", options.descriptors,
                   "descriptors of each receive and transmit queue")
        ->check(CLI::Range(64, 16384))
        ->group(where)
        ->capture_default_str();
    app.add_option("--core", options.core, "CPU to run on; default: any")->group(where);
    app.add_option("--idle", line.idle,
                   "nap: sleep 20 us when there is nothing to do; poll: take the whole core")
        ->check(CLI::IsMember({"nap", "poll"}))
        ->group(where)
        ->capture_default_str();
    app.add_option("--huge-pages", line.huge_pages,
                   "auto, required or none, as in noclash's configuration")
        ->check(CLI::IsMember({"auto", "required", "none"}))
        ->group(where)
        ->capture_default_str();
}

void add_what(CLI::App& app, CommandLine& line, Settings& settings) {
    const std::string what = "What";
    app.add_option("--profile", line.profile, "kind of the connections (see above)")
        ->check(CLI::IsMember({"tcp-crr", "tcp-syn", "udp", "dns", "lb", "mix"}))
        ->group(what)
        ->capture_default_str();
    app.add_option("--service", line.services,
                   "ADDRESS:PORT to connect to; repeat it for several NodePorts or servers. "
                   "With --profile mix, add /tcp, /udp or /dns")
        ->group(what);
    app.add_option("--backend", line.backends,
                   "ADDRESS[:PORT] where connections may arrive; repeat it. Default: the server's "
                   "address, any port")
        ->group(what);
    app.add_option("--mix", line.mix, "shares of the kinds in --profile mix")
        ->group(what)
        ->capture_default_str();
    app.add_option("--first-source", line.first_source,
                   "first source address; default: the client's")
        ->group(what);
    app.add_option("--sources", settings.sources,
                   "number of source addresses, from the first one on; default for lb: 16")
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
    app.add_option("--in-flight", settings.in_flight, "most connections at a time")
        ->check(CLI::Range(1U, most_in_flight))
        ->group(what)
        ->capture_default_str();
    app.add_option("--rto-ms", line.rto_ms,
                   "milliseconds until the first retransmission; doubles with each")
        ->check(CLI::Range(10, 60'000))
        ->group(what)
        ->capture_default_str();
    app.add_option("--retries", settings.retries,
                   "retransmissions before a connection counts as lost")
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
    app.add_option("--connections", line.connections, "connections to open")
        ->check(CLI::Range(1UL, 1'000'000'000'000UL))
        ->group(how);
    app.add_option("--duration", line.duration_s, "seconds during which connections are opened")
        ->check(CLI::Range(0.01, 1e6))
        ->group(how);
    auto* rate = app.add_option("--rate", line.rate,
                                "connections a second, or max: as many as --in-flight allows")
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
    app.add_option("--trial-seconds", line.trial_s, "seconds of each trial")
        ->check(CLI::Range(0.1, 3600.0))
        ->group(how)
        ->capture_default_str();
    app.add_option("--pause-seconds", line.pause_s, "seconds between trials")
        ->check(CLI::Range(0.0, 3600.0))
        ->group(how)
        ->capture_default_str();
    app.add_flag("--self-test", options.self_test,
                 "run both sides back to back, without a gateway and without devices");
    app.add_flag("--no-self-test", line.no_self_test,
                 "do not measure the tester's own ceiling first (a second)");
    app.add_flag("--json", options.json, "print the result as one JSON object");
}

}  // namespace

void declare(CLI::App& app, CommandLine& line, Options& options) {
    add_where(app, line, options);
    add_what(app, line, options.settings);
    add_how_much(app, line, options);
}

ParsedCommandLine read_options(int argc, char** argv) {
    CommandLine line;
    Options options;
    CLI::App app{std::string(help_head), "cpsload"};
    app.footer(std::string(help_foot));
    declare(app, line, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp& help) {
        app.exit(help);
        return {};
    } catch (const CLI::ParseError& error) {
        throw UsageError(error.what());
    }
    resolve(app, line, options);
    check(options);
    return {options};
}

}  // namespace noclash::cpsload
