// SPDX-License-Identifier: Apache-2.0
#include "tools/storm/command_line.hpp"

#include <CLI/CLI.hpp>

namespace noclash::tools {
namespace {

void add_shared_options(CLI::App& command, CommandLine& line) {
    command
        .add_option("--protocol", line.protocol,
                    "protocol of the connections: a TCP SYN or a UDP datagram opens one")
        ->check(CLI::IsMember({"tcp", "udp"}))
        ->capture_default_str();
    command.add_flag("--json", line.json, "print the result as one JSON object");
}

template <class Options>
void add_source_options(CLI::App& command, Options& options) {
    command.add_option("--sources", options.sources, "source addresses, from the first one on")
        ->check(CLI::Range(1, 65536))
        ->capture_default_str();
    command.add_option("--source-port-base", options.first_source_port, "first source port")
        ->check(CLI::Range(1, 65000))
        ->capture_default_str();
}

template <class Options>
void add_sender_options(CLI::App& command, CommandLine& line, Options& options) {
    command.add_option("--interface", options.interface, "interface to send on")->required();
    command.add_option("--destination", line.destination, "ADDRESS:PORT of the service")
        ->required();
    command.add_option("--gateway", line.gateway, "next hop; default: the destination");
    command
        .add_option("--gateway-mac", line.gateway_mac,
                    "MAC address of the next hop; auto: ask by ARP")
        ->capture_default_str();
    command.add_option("--source-base", line.source_base, "first source address")->required();
    add_source_options(command, options);
    command.add_option("--connections", options.connections, "connections to open")
        ->check(CLI::Range(1, 100'000'000))
        ->capture_default_str();
    command.add_option("--rate", options.rate_cps, "connections per second")
        ->check(CLI::Range(1, 10'000'000))
        ->capture_default_str();
    add_shared_options(command, line);
}

void add_receive_options(CLI::App& command, CommandLine& line) {
    ReceiveOptions& options = line.receive;
    command.add_option("--interface", options.interface, "interface to capture on")->required();
    command.add_option("--port", options.port, "destination port, as it arrives here")
        ->required()
        ->check(CLI::Range(1, 65535));
    command.add_option("--expect", options.expected, "connections that are sent")
        ->required()
        ->check(CLI::Range(1, 100'000'000));
    command
        .add_option("--idle-ms", line.idle_ms,
                    "once all have arrived or SIGTERM has come: end after so long without a packet")
        ->capture_default_str();
    command.add_option("--limit-s", line.limit_s, "end after so long in any case")
        ->capture_default_str();
    command.add_flag(
        "--pairs", line.pairs,
        "connections come in pairs from one socket: count pairs that went to two destinations");
    command.add_option("--source-base", line.source_base,
                       "first source address of the sender, whose other options are these: count "
                       "connections that arrive from another address or port than they left with");
    add_source_options(command, line.send);
    add_shared_options(command, line);
}

}  // namespace

std::optional<int> CommandLine::read(int argc, char** argv, int misuse) {
    CLI::App app(
        "Opens connections as a load balancer does, and counts those that arrive.\n\n"
        "  storm receive --interface pod0 --port 80 --expect 40000 &\n"
        "  storm send --interface lb0 --destination 10.1.0.1:30080 --source-base 10.1.1.1\n\n"
        "Exit status: 0 measured, 2 usage, 3 the machine does not allow it, 4 the capture itself\n"
        "lost frames.",
        "storm");
    app.require_subcommand(1);
    auto* sender = app.add_subcommand("send", "two threads open connections in step");
    add_sender_options(*sender, *this, send);
    sender->add_option("--burst", send.burst_steps, "steps in a row without a pause")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    sender->add_flag("--free-running", free_running, "the two threads do not wait for each other");
    sender->add_flag(
        "--pairs", pairs,
        "both threads send from the same address and port, as a resolver that asks for "
        "A and AAAA at once; --connections then counts queries");
    auto* filler = app.add_subcommand("fill", "one thread opens many connections");
    add_sender_options(*filler, *this, fill);
    filler
        ->add_option("--destinations", fill.destinations,
                     "number of destination addresses, from --destination on")
        ->check(CLI::Range(1, 65536))
        ->capture_default_str();
    auto* receiver = app.add_subcommand("receive", "counts the connections that arrive");
    add_receive_options(*receiver, *this);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : misuse;
    }
    command = sender->parsed()   ? Command::send
              : filler->parsed() ? Command::fill
                                 : Command::receive;
    return std::nullopt;
}

}  // namespace noclash::tools
