// SPDX-License-Identifier: Apache-2.0
#include "tools/health/program.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

#include "dpdk/config/error.hpp"
#include "tools/health/checker.hpp"
#include "tools/health/config.hpp"
#include "tools/health/once.hpp"
#include "tools/noclashctl/client.hpp"
#include "tools/noclashctl/usage.hpp"

namespace noclash::health {

namespace {

constexpr int exit_fine = 0;
constexpr int exit_error = 1;
constexpr int exit_usage = 2;
constexpr int exit_no_daemon = 3;

constexpr const char* about =
    R"(Checks the backends of noclash's services, and tells noclash which are up and which are down. Runs in the
foreground until SIGINT or SIGTERM; states of health stay as they are then.)";

constexpr const char* footer = R"(Examples:
  noclash-health --config /etc/noclash/health.toml --check   is the file fit?
  noclash-health --config /etc/noclash/health.toml --once    check each backend once, print a table
  noclash-health --config /etc/noclash/health.toml           check, and tell noclash

Exit status: 0 fine, 1 a backend is down (--once) or an error, 2 a faulty file or wrong usage, 3 no noclash
answers (--once).)";

struct Wish {
    std::string file;
    bool check = false;
    bool once = false;
    bool json = false;
};

/// Each check in flight has a descriptor; some more are the program's own.
void raise_descriptor_limit(std::uint32_t in_flight) {
    constexpr rlim_t own = 64;
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t needed = in_flight + own;
    if (limit.rlim_cur >= needed) return;
    limit.rlim_max = std::max(limit.rlim_max, needed);  // root may raise it
    limit.rlim_cur = needed;
    if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return;
    throw std::runtime_error(
        fmt::format("max_in_flight = {} needs {} descriptors, and this process may not have them "
                    "({}): lower it, or raise the limit (`ulimit -n`, LimitNOFILE= of systemd)",
                    in_flight, needed, std::strerror(errno)));
}

/// Blocks the signals that end us, in this thread and those that it starts; the descriptor tells.
int open_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    const int fd = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) throw std::runtime_error(fmt::format("signalfd: {}", std::strerror(errno)));
    return fd;
}

void check_until_the_end(const Config& config) {
    std::signal(SIGPIPE, SIG_IGN);
    spdlog::set_default_logger(spdlog::stderr_color_mt("noclash-health"));
    spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ %v");
    Checker(config, open_signals()).run();
}

int run(const Wish& wish) {
    try {
        const Config config = load_config(wish.file);
        if (wish.check) {
            fmt::print("{}: fit for use (checks: {})\n", wish.file, config.checks.size());
            return exit_fine;
        }
        raise_descriptor_limit(config.ceilings.in_flight);
        if (wish.once) {
            std::signal(SIGPIPE, SIG_IGN);
            return check_once(config, wish.json ? tools::Format::json : tools::Format::text)
                       ? exit_fine
                       : exit_error;
        }
        check_until_the_end(config);
        return exit_fine;
    } catch (const dpdk::ConfigError& error) {
        fmt::print(stderr, "{}\n", error.what());
        return exit_usage;
    } catch (const tools::NoDaemon& error) {
        fmt::print(stderr, "noclash-health: {}; is `control_socket` in {} that of noclash?\n",
                   error.reason(), wish.file);
        return exit_no_daemon;
    } catch (const std::exception& error) {
        fmt::print(stderr, "noclash-health: {}\n", error.what());
        return exit_error;
    }
}

}  // namespace

int noclash_health(int argc, char** argv) {
    CLI::App app(about, "noclash-health");
    app.set_version_flag("--version", "noclash-health " NOCLASH_VERSION);
    app.footer(footer);
    Wish wish;
    app.add_option("-c,--config", wish.file, "The checks (TOML)")->required()->type_name("FILE");
    CLI::Option* check = app.add_flag("--check", wish.check, "Only look for faults in the file");
    CLI::Option* once = app.add_flag("--once", wish.once,
                                     "Check each backend once and print a table; noclash is not "
                                     "told");
    check->excludes(once);
    app.add_flag("--json", wish.json, "With --once: one JSON array, for programs")->needs(once);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& help) {
        return app.exit(help);
    } catch (const CLI::ParseError& error) {
        fmt::print(stderr, "{}", tools::explain(app, error));
        return exit_usage;
    }
    return run(wish);
}

}  // namespace noclash::health
