// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "tools/storm/command_line.hpp"
#include "tools/storm/packet_socket.hpp"
#include "tools/storm/receive.hpp"
#include "tools/storm/send.hpp"

namespace noclash::tools {
namespace {

enum Exit : int { fine = 0, usage = 2, environment = 3, instrument_failed = 4 };

/// A mistake on the command line that the parser cannot see.
class UsageError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum class Output : std::uint8_t { text, json };

std::atomic<bool> sender_ended{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

Sockets sockets_of(const CommandLine& line, std::uint32_t packets, const std::string& option) {
    if (!line.pairs) return Sockets::one_each;
    if (packets % 2 != 0)
        throw UsageError(option + ": must be even with --pairs, two queries for each socket");
    return Sockets::shared;
}

V4Address address_of(const std::string& text, const std::string& option) {
    const auto address = parse_address<V4>(text);
    if (!address) throw UsageError(option + ": not an IPv4 address: " + text);
    return *address;
}

/// Splits `10.1.0.1:30080`.
std::pair<V4Address, std::uint16_t> service_of(const std::string& text) {
    const auto colon = text.find(':');
    if (colon == std::string::npos)
        throw UsageError("--destination: no port in " + text + "; expected 10.1.0.1:30080");
    const auto address = address_of(text.substr(0, colon), "--destination");
    const std::string port_text = text.substr(colon + 1);
    const bool digits = !port_text.empty() && port_text.size() <= 5 &&
                        port_text.find_first_not_of("0123456789") == std::string::npos;
    const unsigned long port = digits ? std::stoul(port_text) : 0;
    if (port == 0 || port > 65535) throw UsageError("--destination: no such port: " + port_text);
    return {address, static_cast<std::uint16_t>(port)};
}

std::uint8_t protocol_of(const std::string& name) {
    return name == "udp" ? IPPROTO_UDP : IPPROTO_TCP;
}

MacAddress gateway_mac_of(const CommandLine& line, const std::string& interface,
                          V4Address destination) {
    if (line.gateway_mac != "auto") return parse_mac(line.gateway_mac);
    return resolve_neighbor(
        interface, line.gateway.empty() ? destination : address_of(line.gateway, "--gateway"));
}

void print(const nlohmann::ordered_json& values, Output output) {
    if (output == Output::json) {
        std::printf("%s\n", values.dump().c_str());
    } else {
        for (const auto& [name, value] : values.items())
            std::printf("%-18s %s\n", name.c_str(), value.dump().c_str());
    }
    std::fflush(stdout);
}

void print(const SendResult& result, Output output) {
    print({{"sent", result.sent},
           {"retries", result.retries},
           {"started_ns", result.started_ns},
           {"ended_ns", result.ended_ns},
           {"seconds", static_cast<double>(result.ended_ns - result.started_ns) / 1e9}},
          output);
}

int run_send(CommandLine& line, Output output) {
    SendOptions& options = line.send;
    std::tie(options.destination, options.destination_port) = service_of(line.destination);
    options.first_source = address_of(line.source_base, "--source-base");
    options.protocol = protocol_of(line.protocol);
    options.stride = line.free_running ? Stride::free_running : Stride::in_step;
    options.sockets = sockets_of(line, options.connections, "--connections");
    if (options.sources % 2 != 0 && options.sockets == Sockets::one_each)
        throw UsageError("--sources: must be even, each of the two threads has its own half");
    if (options.connections > storm_capacity(options))
        throw UsageError("--connections: more than " + std::to_string(storm_capacity(options)) +
                         ", the number of tuples that these addresses and ports make");
    options.gateway_mac = gateway_mac_of(line, options.interface, options.destination);
    print(send_storm(options), output);
    return fine;
}

int run_fill(CommandLine& line, Output output) {
    FillOptions& options = line.fill;
    std::tie(options.first_destination, options.destination_port) = service_of(line.destination);
    options.first_source = address_of(line.source_base, "--source-base");
    options.protocol = protocol_of(line.protocol);
    if (options.connections > fill_capacity(options))
        throw UsageError("--connections: more than " + std::to_string(fill_capacity(options)) +
                         ", the number of tuples that these addresses and ports make");
    options.gateway_mac = gateway_mac_of(line, options.interface, options.first_destination);
    print(send_fill(options), output);
    return fine;
}

int run_receive(CommandLine& line, Output output) {
    ReceiveOptions& options = line.receive;
    options.protocol = protocol_of(line.protocol);
    options.idle = std::chrono::milliseconds(line.idle_ms);
    options.limit = std::chrono::seconds(line.limit_s);
    options.sockets = sockets_of(line, options.expected, "--expect");
    if (!line.source_base.empty()) {
        line.send.first_source = address_of(line.source_base, "--source-base");
        line.send.sockets = options.sockets;
        options.sender = line.send;
    }
    for (const int signal : {SIGINT, SIGTERM})
        std::signal(signal, [](int) { sender_ended.store(true, std::memory_order_relaxed); });
    const auto result = receive_storm(options, sender_ended, [] {
        std::fputs("ready\n", stderr);
        std::fflush(stderr);
    });
    const LedgerSummary& summary = result.summary;
    nlohmann::ordered_json values{{"expected", summary.expected},
                                  {"delivered", summary.delivered},
                                  {"lost", summary.lost},
                                  {"duplicated", summary.duplicated},
                                  {"tuple_collisions", summary.tuple_collisions},
                                  {"split_pairs", summary.split_pairs},
                                  {"bad_checksums", summary.bad_checksums},
                                  {"strangers", summary.strangers},
                                  {"kernel_drops", result.kernel_drops},
                                  {"first_ns", result.first_ns},
                                  {"last_ns", result.last_ns}};
    if (options.sender) values["changed_sources"] = result.changed_sources;
    print(values, output);
    if (result.kernel_drops == 0) return fine;
    std::fprintf(
        stderr,
        "storm: the capture socket lost %llu frames: the results of this run cannot be trusted\n",
        static_cast<unsigned long long>(result.kernel_drops));
    return instrument_failed;
}

int run(int argc, char** argv) {
    CommandLine line;
    if (const auto exit_code = line.read(argc, argv, usage)) return *exit_code;
    const Output output = line.json ? Output::json : Output::text;
    if (line.command == Command::send) return run_send(line, output);
    return line.command == Command::fill ? run_fill(line, output) : run_receive(line, output);
}

}  // namespace
}  // namespace noclash::tools

int main(int argc, char** argv) {
    try {
        return noclash::tools::run(argc, argv);
    } catch (const noclash::tools::UsageError& error) {
        std::fprintf(stderr, "storm: %s\n", error.what());
        return noclash::tools::usage;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "storm: %s\n", error.what());
        return noclash::tools::environment;
    }
}
