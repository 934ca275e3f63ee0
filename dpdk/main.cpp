// SPDX-License-Identifier: Apache-2.0

// The daemon, from its command line to its end.

#include <rte_launch.h>
#include <rte_lcore.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "dpdk/command_line.hpp"
#include "dpdk/config/config.hpp"
#include "dpdk/control/adopt.hpp"
#include "dpdk/control/control.hpp"
#include "dpdk/control/control_socket.hpp"
#include "dpdk/control/guard_log.hpp"
#include "dpdk/control/link_monitor.hpp"
#include "dpdk/control/memory_report.hpp"
#include "dpdk/control/neighbor_log.hpp"
#include "dpdk/control/service_manager.hpp"
#include "dpdk/control/shortage_log.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "dpdk/datapath/rss.hpp"
#include "dpdk/datapath/worker.hpp"
#include "dpdk/device/device_lock.hpp"
#include "dpdk/device/eal.hpp"
#include "dpdk/device/last_memory.hpp"
#include "dpdk/device/log.hpp"
#include "dpdk/device/memory_need.hpp"
#include "dpdk/device/packet_pool.hpp"
#include "dpdk/state/kept_services.hpp"
#include "dpdk/state/state.hpp"
#include "dpdk/state/state_place.hpp"
#include "engine/base/clock.hpp"
#include "engine/base/random.hpp"

namespace noclash::dpdk {
namespace {

enum ExitCode : int { ok = 0, failed = 1, bad_config = 2 };

constexpr std::array stop_signals{SIGINT, SIGTERM};
/// Has the configuration read again.
constexpr int reload_signal = SIGHUP;
/// Sent by log rotation, service managers, or by mistake: they do nothing.
constexpr std::array other_signals{SIGUSR1, SIGUSR2, SIGALRM};

/// Blocked in every thread from the start, and waited for by the main one.
sigset_t awaited_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : stop_signals)
        sigaddset(&signals, signal);
    for (const int signal : other_signals)
        sigaddset(&signals, signal);
    sigaddset(&signals, reload_signal);
    return signals;
}

/// A reload that nobody waits for: what came of it is logged, and returned in one line.
std::string reload(Reloader& reloader, const Reloader::Between& between) {
    try {
        const ReloadOutcome outcome = reloader.reload(StaleFlows::live_on, between);
        for (const std::string& warning : outcome.warnings)
            spdlog::warn("{}", warning);
        spdlog::log(outcome.needs_restart() ? spdlog::level::err : spdlog::level::info,
                    "SIGHUP: {}", to_string(outcome));
        return to_string(outcome);
    } catch (const std::exception& error) {
        spdlog::error("SIGHUP: nothing was changed: {}", error.what());
        return fmt::format("nothing was changed: {}", error.what());
    }
}

/// Does what a signal asks for that does not end the daemon.
void heed(int signal, Reloader& reloader, ServiceManager& manager,
          const Reloader::Between& between) {
    if (signal == reload_signal) {
        manager.reloading();
        return manager.reloaded("forwarding; SIGHUP: " + reload(reloader, between));
    }
    spdlog::warn("SIG{}: ignored, noclash goes on", ::sigabbrev_np(signal));
}

struct Lcore {
    Worker* worker;
    const std::atomic<bool>* stop;
};

int run_worker(void* argument) {
    const auto* lcore = static_cast<Lcore*>(argument);
    lcore->worker->run(*lcore->stop);
    return 0;
}

/// Runs the workers on their lcores from construction to destruction.
class RunningWorkers {
  public:
    explicit RunningWorkers(const std::vector<std::unique_ptr<Worker>>& workers) {
        lcores_.reserve(workers.size());
        for (unsigned id = 0; id < workers.size(); ++id) {
            lcores_.push_back({workers[id].get(), &stop_});
            const int error = rte_eal_remote_launch(run_worker, &lcores_.back(), lcore_of(id));
            if (error != 0) {
                stop_ = true;
                rte_eal_mp_wait_lcore();
                throw std::runtime_error("worker " + std::to_string(id) +
                                         " did not start: " + std::strerror(-error));
            }
        }
    }
    RunningWorkers(const RunningWorkers&) = delete;
    RunningWorkers& operator=(const RunningWorkers&) = delete;
    ~RunningWorkers() {
        stop_ = true;
        rte_eal_mp_wait_lcore();
    }

  private:
    std::atomic<bool> stop_{false};
    std::vector<Lcore> lcores_;
};

ShortageLog::Totals shortages(const std::vector<std::unique_ptr<Worker>>& workers) {
    ShortageLog::Totals totals{};
    for (const auto& worker : workers)
        for (std::size_t i = 0; i < totals.size(); ++i)
            totals[i] += worker->counters().dropped(ShortageLog::reasons[i]);
    return totals;
}

/// When each worker's last round began.
std::vector<std::uint64_t> rounds_ms(const std::vector<std::unique_ptr<Worker>>& workers) {
    std::vector<std::uint64_t> rounds;
    for (const auto& worker : workers)
        rounds.push_back(worker->round_ms());
    return rounds;
}

/// Logs what the workers heard of neighbours since it was last called.
void tell_of_neighbors(NeighborLog& log, const std::vector<std::unique_ptr<Worker>>& workers) {
    for (const auto& worker : workers)
        log.add_missed(worker->neighbor_events().drain(
            [&log](const NeighborEvent& event) { log.add(event); }));
    for (const std::string& line : log.lines(now_ms()))
        spdlog::warn(line);
}

timespec to_timespec(std::uint64_t ms) {
    return {static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000) * 1'000'000};
}

/// Looks after the workers once a second, at least; returns the signal that ends it.
int watch_until_signal(const sigset_t& signals, Gateway& gateway,
                       const std::vector<std::unique_ptr<Worker>>& workers, Control& control,
                       ServiceManager& manager) {
    State* const state = gateway.state;
    Reloader& reloader = control.reloader();
    constexpr std::uint64_t retired_ms = 10'000;
    std::uint64_t looked_ms = now_ms();
    ShortageLog alarm;
    NeighborLog neighbors(gateway.config.ports);
    GuardLog guards;
    const auto look = [&] { manager.look(rounds_ms(workers), now_ms()); };
    for (;;) {
        look();
        const timespec pause = to_timespec(manager.most_pause_ms());
        const int signal = sigtimedwait(&signals, nullptr, &pause);
        if (std::ranges::find(stop_signals, signal) != stop_signals.end()) return signal;
        if (signal > 0) heed(signal, reloader, manager, look);
        if (state != nullptr) state->alive(now_ms());
        control.services().look(look);
        if (now_ms() - looked_ms >= retired_ms) {
            reloader.give_up_retired(look);
            looked_ms = now_ms();
        }
        const auto line = alarm.look(shortages(workers), now_ms());
        tell_of_neighbors(neighbors, workers);
        for (const std::string& told :
             guards.look(*gateway.policy.hold(), gateway.syn_proxy, now_ms()))
            spdlog::warn(told);
        if (line) spdlog::log(alarm.ringing() ? spdlog::level::warn : spdlog::level::info, *line);
    }
}

void set_up_log(const std::string& level) {
    spdlog::set_default_logger(spdlog::stderr_color_mt("noclash"));
    spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ %v");
    spdlog::set_level(spdlog::level::from_str(level));
}

/// The memory that is there for this instance: what its state file has already, is its own.
MemoryThere memory_for(const Config& config) {
    MemoryThere there = memory_there();
    if (!config.state.keep) return there;
    const MemoryOfFile kept = memory_of_file(state_path(config));
    (kept.huge ? there.huge_bytes : there.bytes) += kept.bytes;
    return there;
}

/// Makes the flows of the process before this one the gateway's.
void take_over(Gateway& gateway, const std::vector<std::unique_ptr<Worker>>& workers,
               Control& control) {
    const State& state = *gateway.state;
    if (!state.lost().empty())
        spdlog::warn("{}: {}; no flows are taken over", state.path(), state.lost());
    const AdoptionReport report = adopt(gateway, workers, control.reloader());
    if (!state.adopts()) return;
    spdlog::info("{}", to_string(report, gateway.config.name));
    control.tell_adoption(report);
}

/// The services that commands of the process before this one had made.
KeptServices services_of(const State& state, const Config& config) {
    std::vector<std::string> complaints;
    KeptServices kept = read_kept_services(state.services_before(), config, complaints);
    for (const std::string& complaint : complaints)
        spdlog::warn("{}", complaint);
    return kept;
}

void serve(Config config) {
    const DeviceLock lock(config);
    if (const auto shortage = memory_shortage(config, plan_memory(config), memory_for(config)))
        throw std::runtime_error(*shortage);
    std::optional<State> state;
    KeptServices services;
    if (config.state.keep) {
        state.emplace(config);
        services = services_of(*state, config);
        std::ranges::copy(services.services, std::back_inserter(config.policy.services));
    }
    const Eal eal(config);
    const PacketPool buffers(eal.memory(), eal.pages());
    std::vector<std::unique_ptr<Port>> ports;
    std::unique_ptr<InterruptGate> gate;
    for (std::size_t i = 0; i < config.ports.size(); ++i) {
        ports.push_back(std::make_unique<Port>(config, i, buffers.get()));
        if (!gate && ports.back()->is_memif())
            gate = std::make_unique<InterruptGate>(config.workers);
    }

    std::uint64_t seed = 0;
    random_bytes(&seed, sizeof seed);
    Gateway gateway(config, std::move(ports), buffers.get(), seed, std::move(gate),
                    state ? &*state : nullptr);
    std::vector<std::unique_ptr<Worker>> workers;
    for (std::uint16_t id = 0; id < config.workers; ++id)
        workers.push_back(std::make_unique<Worker>(gateway, id));
    Control control(gateway, workers);
    control.services().restore(services.backends);
    if (state) take_over(gateway, workers, control);
    // Before the ports come up: it finds out whether another daemon runs already.
    ControlSocket socket({config.control_socket, control_clients},
                         [&control](const nlohmann::json& request, ResponseWriter& writer) {
                             control.answer(request, writer);
                         });
    for (const auto& port : gateway.ports)
        port->start();
    learn_steering(gateway);
    spdlog::info("{} flows, {} workers; {}", config.flows, config.workers,
                 memory_words(memory_report(gateway)));

    const RunningWorkers running(workers);
    const LinkMonitor monitor(gateway);
    spdlog::info("ready; control socket {}", config.control_socket);
    const sigset_t signals = awaited_signals();
    ServiceManager manager(fmt::format("forwarding: {} workers, {} flows; control socket {}",
                                       config.workers, config.flows, config.control_socket));
    const int signal = watch_until_signal(signals, gateway, workers, control, manager);
    manager.stopping();
    spdlog::info("{}: stopping with {} flows", strsignal(signal), control.live_flows());
    LastMemory::leave_it();
}

int run(int argc, char** argv) {
    CommandLine line;
    if (const auto exit_code = line.read(argc, argv, bad_config)) return *exit_code;

    set_up_log("info");
    Config config;
    try {
        config = load_config(line.file);
    } catch (const ConfigError& error) {
        for (const Finding& finding : error.findings())
            fmt::print(stderr, "{}\n", finding.text);
        return bad_config;
    }
    spdlog::set_level(spdlog::level::from_str(config.log_level));
    if (line.strict && !config.warnings.empty()) {
        for (const Finding& warning : config.warnings)
            fmt::print(stderr, "{}\n", warning.text);
        return bad_config;
    }
    for (const Finding& warning : config.warnings)
        spdlog::warn("{}", warning.text);
    try {
        serve(config);
    } catch (const std::bad_alloc&) {
        spdlog::error(
            "{}: not enough memory for the tables; lower `flows`, or stop other programs that take "
            "memory",
            config.file);
        return failed;
    } catch (const std::exception& error) {
        spdlog::error("{}", error.what());
        return failed;
    }
    return ok;
}

}  // namespace
}  // namespace noclash::dpdk

int main(int argc, char** argv) {
    // Before any thread exists, so that all inherit it.
    sigset_t signals = noclash::dpdk::awaited_signals();
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);  // a log or a client that nobody reads any more
    return noclash::dpdk::run(argc, argv);
}
