// SPDX-License-Identifier: Apache-2.0

// Any bytes as what one client sends to the control socket of a gateway that has some flows. Each
// line gets an answer, and each line of an answer is what docs/json.md says.

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/control/control.hpp"
#include "dpdk/control/control_request.hpp"
#include "dpdk/control/control_socket.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "dpdk/datapath/worker.hpp"
#include "dpdk/device/eal.hpp"
#include "dpdk/device/packet_pool.hpp"
#include "engine/base/clock.hpp"
#include "engine/flow_worker.hpp"
#include "engine/reservation.hpp"
#include "nat/packet/protocols.hpp"

namespace {

using namespace noclash;
using namespace noclash::dpdk;

constexpr std::string_view configuration = R"(
flows = 1024
workers = 2
[memory]
huge_pages = "none"
[[port]]
name = "inside"
device = "null:inside"
address = "10.1.0.1/24"
[[port]]
name = "outside"
device = "null:outside"
address = "10.2.0.1/24"
[[rule]]
name = "web"
action = "dnat"
in = "outside"
protocol = "tcp"
to = "10.2.0.1/32"
to_port = 80
target = ["10.1.0.2:8080", "10.1.0.3:8080"]
[[rule]]
name = "outbound"
action = "masquerade"
in = "inside"
[limits]
flows_per_subscriber = 1000
)";

constexpr std::uint32_t most_flows = 64;
/// Bytes that the socket's buffer takes at once: the server need not have read one line before the
/// last one is sent.
constexpr std::size_t longest_input = 100000;

void require(bool condition) {
    if (!condition) std::abort();
}

/// A system call, begun anew where libFuzzer's alarm has interrupted it.
template <class Call>
auto undisturbed(Call call) {
    for (;;) {
        const auto result = call();
        if (result >= 0 || errno != EINTR) return result;
    }
}

std::vector<std::unique_ptr<Port>> ports_of(const Config& config, const PacketPool& pool) {
    std::vector<std::unique_ptr<Port>> ports;
    for (std::size_t i = 0; i < config.ports.size(); ++i)
        ports.push_back(std::make_unique<Port>(config, i, pool.get()));
    return ports;
}

/// A daemon without packets. Worker 0 is there to be asked; worker 1 sets up the flows.
class Daemon {
  public:
    Daemon()
        : config_(parse_config(configuration, "fuzz.toml")),
          eal_(config_),
          pool_(eal_.memory(), eal_.pages()),
          gateway_(config_, ports_of(config_, pool_), pool_.get(), 1),
          flow_worker_(gateway_.flows, 1, now_ms()) {
        workers_.push_back(std::make_unique<Worker>(gateway_, 0));
        control_ = std::make_unique<Control>(gateway_, workers_);
        std::string pattern = std::filesystem::temp_directory_path() / "noclash-fuzz-XXXXXX";
        path_ = std::string(::mkdtemp(pattern.data())) + "/control.sock";
        socket_ = std::make_unique<ControlSocket>(
            ControlSocketOptions{path_, control_clients},
            [this](const nlohmann::json& request, ResponseWriter& writer) {
                control_->answer(request, writer);
            });
    }

    /// Sets up anew those flows that the last input flushed.
    void set_up_flows() {
        using nat::ip_protocol::icmp, nat::ip_protocol::tcp, nat::ip_protocol::udp;
        constexpr std::array<std::uint8_t, 4> protocols{tcp, udp, icmp, nat::ip_protocol::sctp};
        flow_worker_.online();
        for (std::uint16_t i = 0; i < most_flows; ++i) {
            const V4Address host = V4Address::from_host(0x0a010000U + 2U + i);
            const V4Address server = V4Address::from_host(0x0a020002U);
            const V4Address outside = V4Address::from_host(0x0a020001U);
            const Be16 port = Be16::from_host(static_cast<std::uint16_t>(1024 + i));
            const bool ping = protocols[i % 4] == icmp;
            const Be16 server_port = ping ? Be16{} : Be16::from_host(443);
            Reservation<V4> flow(flow_worker_,
                                 {host, server, port, server_port, 0, protocols[i % 4], 0});
            const Tuple<V4> reply{server, outside, server_port, port, 0, protocols[i % 4], 0};
            if (flow.error() != SetupError::none || flow.reserve(reply) != SetupError::none)
                continue;
            flow.record().rule = 1;
            flow.record().protocol_state.store(static_cast<std::uint8_t>(i / 4 % 4));
            flow.publish(to_moment(now_ms() + 3600000), now_ms());
        }
        for (int grace_periods = 0; grace_periods < 3; ++grace_periods) {
            flow_worker_.quiescent();
            flow_worker_.maintain(now_ms(), std::numeric_limits<std::uint32_t>::max(),
                                  [](const auto&) {});
        }
        flow_worker_.offline();
        for (FlowResets& resets : gateway_.flow_resets)  // as workers would that run
            resets.drain([](const FlowReset&) {});
    }

    /// All that a client is told who sends `text` and then nothing more.
    std::string ask(std::string_view text) const {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path_.copy(address.sun_path, sizeof address.sun_path - 1);
        const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        require(undisturbed([&] {
                    return ::connect(client, reinterpret_cast<const sockaddr*>(&address),
                                     sizeof address);
                }) == 0);
        while (!text.empty()) {
            const ssize_t sent =
                undisturbed([&] { return ::send(client, text.data(), text.size(), MSG_NOSIGNAL); });
            if (sent <= 0) break;  // behind a line that is too long nothing is read
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
        ::shutdown(client, SHUT_WR);
        std::string answer;
        char part[65536];
        for (;;) {
            const ssize_t got = undisturbed([&] { return ::recv(client, part, sizeof part, 0); });
            if (got <= 0) break;
            answer.append(part, static_cast<std::size_t>(got));
        }
        ::close(client);
        return answer;
    }

  private:
    Config config_;
    Eal eal_;
    PacketPool pool_;
    Gateway gateway_;
    FlowWorker<V4> flow_worker_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::unique_ptr<Control> control_;
    std::string path_;
    std::unique_ptr<ControlSocket> socket_;
};

/// @return answers: last lines
std::size_t judge(std::string_view answer) {
    std::size_t answers = 0;
    std::size_t rows = 0;
    while (!answer.empty()) {
        const std::size_t end = answer.find('\n');
        require(end != std::string_view::npos);
        const std::string_view line = answer.substr(0, end);
        answer.remove_prefix(end + 1);
        if (line.empty()) continue;
        const auto parsed = nlohmann::json::parse(line, nullptr, false);
        require(parsed.is_object() && parsed.size() == 1);
        if (parsed.contains("row")) {
            ++rows;
            continue;
        }
        if (parsed.contains("end")) require(parsed.at("end").at("rows") == rows);
        if (parsed.contains("error")) require(parsed.at("error").is_string());
        require(parsed.contains("end") || parsed.contains("error"));
        rows = 0;
        ++answers;
    }
    return answers;
}

bool has_long_line(std::string_view text) {
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        if (end - begin > longest_request) return true;
        begin = end + 1;
    }
    return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Daemon daemon;
    if (size > longest_input) return -1;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    daemon.set_up_flows();
    const std::size_t answers = judge(daemon.ask(text));
    const auto requests = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    require(has_long_line(text) || answers == requests);
    return 0;
}
