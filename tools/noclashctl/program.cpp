// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/program.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "tools/noclashctl/client.hpp"
#include "tools/noclashctl/commands.hpp"
#include "tools/noclashctl/options.hpp"
#include "tools/noclashctl/output.hpp"
#include "tools/noclashctl/service_program.hpp"
#include "tools/noclashctl/state_program.hpp"
#include "tools/noclashctl/usage.hpp"

namespace {

using noclash::tools::FlowFilter;
using noclash::tools::Settings;

constexpr int exit_fine = 0;
constexpr int exit_error = 1;
constexpr int exit_usage = 2;
constexpr int exit_no_daemon = 3;
constexpr int exit_nothing_found = 4;

constexpr const char* examples = R"(Examples:
  noclashctl flows list                            every flow, as conntrack -L prints them
  noclashctl flows list --address 10.1.0.2         those that one host takes part in
  noclashctl flows list --state ESTABLISHED --json one JSON array, for programs
  noclashctl flows count --protocol udp
  noclashctl flows show --protocol tcp --source 10.1.0.2 --source-port 40000 \
                        --destination 10.1.0.1 --destination-port 30080
  noclashctl flows flush --destination 10.2.0.2    forget the flows to a backend
  noclashctl flows flush --address 10.2.0.2 --reset   likewise, and both ends get a RST
  noclashctl subscribers --top 10                  who holds most flows, where [limits] counts them
  noclashctl services                              virtual addresses, and the backends behind them
  noclashctl service drain web 10.2.0.2:80         no new flows to that backend of "web"
  noclashctl stats                                 counters of each worker, drops by reason
  noclashctl config check /etc/noclash/gateway.toml   needs no running noclash
  noclashctl config diff /etc/noclash/gateway.toml    what a reload of it would change
  noclashctl reload                                take the changed file over, all of it or nothing
  noclashctl state show --name edge1               the flows that outlive noclash; needs no running one

Exit status: 0 fine, 1 an error, a faulty configuration or a reload that needs a restart, 2 wrong
usage, 3 no noclash answers, 4 `flows show` found no such flow, `services` no such service, or
`state` no state file.)";

constexpr const char* about_reload =
    R"(noclash reads the file that it was started with, as at SIGHUP. When the file is faulty, or changes
what needs a restart, each fault or key is named, and nothing is changed (exit status 1). Flows of
rules that are gone, or that forbid now what they allowed, live on; those of rules with
`on_change = "end"` end. `noclashctl config diff FILE` says before what a reload would do.)";

constexpr const char* about_diff =
    R"(FILE is compared with what noclash runs with; nothing is changed. In front of each change stands
+ for what is added, - removed, ~ changed, > moved among the rules. noclash itself reads FILE, which
it has to be allowed to. Exit status: 0 also when there are changes, or when some need a restart;
1 when FILE is faulty.)";

/// The user's wish: the action runs once the line has been understood as a whole.
struct Wish {
    Settings settings;
    FlowFilter filter;
    bool json = false;
    std::optional<std::uint32_t> top;
    std::string config_file;
    bool strict = false;
    bool end_stale = false;
    bool reset = false;
    bool fit = true;
    bool found = true;
    const char* sought = "flow";  ///< what was not found
    std::optional<std::string> shown_service;
    noclash::tools::ServiceWish service;
    noclash::tools::StateWish state;
    std::function<void(Wish&)> action;
};

void add_flows(CLI::App& app, Wish& wish) {
    CLI::App* flows = app.add_subcommand("flows", "The tracked connections");
    flows->require_subcommand(1);
    const auto add = [&](const char* name, const char* help, auto run) {
        CLI::App* command = flows->add_subcommand(name, help);
        command->fallthrough();
        noclash::tools::add_filter(*command, wish.filter);
        command->callback(
            [&wish, run] { wish.action = [run](Wish& all) { run(all.settings, all.filter); }; });
        return command;
    };
    flows->fallthrough();
    add("list", "Print a line for each flow", noclash::tools::list_flows);
    add("count", "Print the number of flows", noclash::tools::count_flows);
    CLI::App* flush = add("flush", "Remove flows; without a filter, all", [](auto&...) {});
    flush->add_flag("--reset", wish.reset, "Tell both ends of TCP connections by a RST");
    flush->callback([&wish] {
        wish.action = [](Wish& all) {
            using noclash::tools::EndsHear;
            noclash::tools::flush_flows(all.settings, all.filter,
                                        all.reset ? EndsHear::resets : EndsHear::nothing);
        };
    });
    CLI::App* show =
        add("show", "Print every field of one flow, named by its five-tuple", [](auto&...) {});
    noclash::tools::require_five_tuple(*show, wish.filter);
    show->callback([&wish] {
        wish.action = [](Wish& all) {
            all.found = noclash::tools::show_flows(all.settings, all.filter);
        };
    });
}

void add_others(CLI::App& app, Wish& wish) {
    const auto add = [&](const char* name, const char* help, auto run) {
        CLI::App* command = app.add_subcommand(name, help);
        command->fallthrough();
        command->callback([&wish, run] { wish.action = [run](Wish& all) { run(all.settings); }; });
    };
    add("stats", "Counters of each worker, and drops by reason", noclash::tools::show_stats);
    add("ports", "The ports, their links and their counters", noclash::tools::show_ports);
    add("neighbors", "Addresses and MAC addresses of neighbours", noclash::tools::show_neighbors);
    add("rules", "The rules, and the flows (without tracking: packets) that each decided",
        noclash::tools::show_rules);
    CLI::App* subscribers = app.add_subcommand(
        "subscribers", "Flows and ports of each subscriber, those with most flows first");
    subscribers->fallthrough();
    subscribers->add_option("--top", wish.top, "Print at most so many")
        ->transform(noclash::tools::number("count", 1, UINT32_MAX))
        ->type_name("COUNT");
    subscribers->callback([&wish] {
        wish.action = [](Wish& all) { noclash::tools::show_subscribers(all.settings, all.top); };
    });
    add("memory", "Large tables, and the pages that they lie on", noclash::tools::show_memory);
    add("version", "The versions of noclashctl, noclash and DPDK", noclash::tools::show_version);
}

void add_services(CLI::App& app, Wish& wish) {
    CLI::App* list = app.add_subcommand("services", "The services, and how their backends are");
    list->fallthrough();
    list->add_option("--service", wish.shown_service, "Only this one")->type_name("NAME");
    list->callback([&wish] {
        wish.sought = "service";
        wish.action = [](Wish& all) {
            all.found = noclash::tools::show_services(all.settings, all.shown_service);
        };
    });
    noclash::tools::add_service(app, wish.service, [&wish](auto changes) {
        wish.action = [changes = std::move(changes)](Wish& all) {
            noclash::tools::change_services(all.settings, changes());
        };
    });
}

void add_end_stale(CLI::App& command, Wish& wish, const char* help) {
    command.add_flag("--end-stale", wish.end_stale, help);
}

noclash::tools::StaleFlows stale_flows(const Wish& wish) {
    using noclash::tools::StaleFlows;
    return wish.end_stale ? StaleFlows::ended : StaleFlows::as_rules_say;
}

void add_configuration(CLI::App& app, Wish& wish) {
    CLI::App* reload = app.add_subcommand(
        "reload", "Take the changed configuration file over while traffic flows");
    reload->fallthrough();
    reload->footer(about_reload);
    add_end_stale(*reload, wish,
                  "End all flows that the new rules would not set up, whatever `on_change` says");
    reload->callback([&wish] {
        wish.action = [](Wish& all) {
            noclash::tools::reload_config(all.settings, stale_flows(all));
        };
    });

    CLI::App* config = app.add_subcommand("config", "Configuration files");
    config->require_subcommand(1);
    config->fallthrough();
    CLI::App* check = config->add_subcommand(
        "check", "Print every fault of a file, and warnings about probable mistakes");
    check->fallthrough();
    check->add_option("FILE", wish.config_file)->required();
    check->add_flag("--strict", wish.strict, "Treat warnings as faults");
    check->callback([&wish] {
        wish.action = [](Wish& all) {
            using noclash::tools::Warnings;
            all.fit =
                noclash::tools::check_config(all.settings, all.config_file,
                                             all.strict ? Warnings::refused : Warnings::tolerated);
        };
    });
    CLI::App* diff =
        config->add_subcommand("diff", "What a reload with this file would change, and what not");
    diff->fallthrough();
    diff->footer(about_diff);
    diff->add_option("FILE", wish.config_file)->required();
    add_end_stale(*diff, wish, "Tell what `reload --end-stale` would do");
    diff->callback([&wish] {
        wish.action = [](Wish& all) {
            all.fit = noclash::tools::diff_config(all.settings, all.config_file, stale_flows(all));
        };
    });
}

void add_state_files(CLI::App& app, Wish& wish) {
    noclash::tools::add_state(app, wish.state, [&wish](noclash::tools::StateAction action) {
        wish.sought = "state file";
        wish.action = [action = std::move(action)](Wish& all) {
            all.found = action(all.settings, all.state);
        };
    });
}

/// Prints what there is to be printed, even before an error.
void act(Wish& wish) {
    try {
        wish.action(wish);
    } catch (...) {
        noclash::tools::flush_output();
        throw;
    }
    noclash::tools::flush_output();
}

int run(Wish& wish) {
    wish.settings.format = wish.json ? noclash::tools::Format::json : noclash::tools::Format::text;
    try {
        act(wish);
    } catch (const noclash::tools::NoDaemon& error) {
        fmt::print(stderr, "noclashctl: {}\n", error.what());
        return exit_no_daemon;
    } catch (const nlohmann::json::exception&) {
        fmt::print(stderr,
                   "noclashctl: version {} does not understand the answer: is noclash of another "
                   "version? `noclashctl version --json` prints it\n",
                   NOCLASH_VERSION);
        return exit_error;
    } catch (const std::exception& error) {
        fmt::print(stderr, "noclashctl: {}\n", error.what());
        return exit_error;
    }
    if (!wish.found) {
        fmt::print(stderr, "noclashctl: no such {}\n", wish.sought);
        return exit_nothing_found;
    }
    return wish.fit ? exit_fine : exit_error;
}

}  // namespace

int noclash::tools::noclashctl(int argc, char** argv) {
    // A reader that has seen enough, such as `head`, ends us without a word.
    std::signal(SIGPIPE, SIG_DFL);
    CLI::App app(
        "Looks into a running noclash, checks and reloads configurations, changes services, and "
        "carries flows over.",
        "noclashctl");
    app.set_version_flag("--version", "noclashctl " NOCLASH_VERSION);
    app.footer(examples);
    app.require_subcommand(1);
    Wish wish;
    app.add_option("--socket", wish.settings.socket, "The control socket of noclash")
        ->capture_default_str()
        ->envname("NOCLASH_SOCKET");
    app.add_option("--timeout", wish.settings.timeout_s, "Seconds that noclash may be silent")
        ->transform(noclash::tools::number("number of seconds", 1, 86400))
        ->type_name("SECONDS")
        ->capture_default_str();
    app.add_flag("--json", wish.json, "One JSON array, for programs");
    add_flows(app, wish);
    add_others(app, wish);
    add_services(app, wish);
    add_configuration(app, wish);
    add_state_files(app, wish);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& help) {
        return app.exit(help);
    } catch (const CLI::ParseError& error) {
        fmt::print(stderr, "{}", noclash::tools::explain(app, error));
        return exit_usage;
    }
    return run(wish);
}
