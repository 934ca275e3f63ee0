// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/state_program.hpp"

#include <utility>

namespace noclash::tools {

namespace {

constexpr const char* about_state =
    R"(An instance with a `name` keeps its flows in a file in memory, from which the next start goes on.
These commands need no running noclash; only `show` is of use beside one.)";

constexpr const char* about_export =
    R"(The stream holds all flows with their state, and the configuration that was in force. Every later
release reads it. docs/flow-stream.md describes it. Exit status 1 while noclash runs on the file.)";

constexpr const char* about_import =
    R"(The file gets the size that the configuration asks for, and the next start with this configuration
goes on with its flows. A faulty stream changes nothing.)";

CLI::App* add(CLI::App& state, const char* name, const char* help, StateAction action,
              const std::function<void(StateAction)>& chosen) {
    CLI::App* command = state.add_subcommand(name, help);
    command->fallthrough();
    command->callback([chosen, action = std::move(action)] { chosen(action); });
    return command;
}

/// The options that say whose state is meant.
void add_instance(CLI::App& command, Instance& instance) {
    CLI::Option* config =
        command.add_option("--config", instance.config, "The instance with this configuration")
            ->type_name("FILE")
            ->group("Whose state");
    CLI::Option* name = command.add_option("--name", instance.name, "The instance of this name")
                            ->type_name("NAME")
                            ->excludes(config)
                            ->group("Whose state");
    command.add_option("--path", instance.path, "This state file")
        ->type_name("FILE")
        ->excludes(config)
        ->excludes(name)
        ->group("Whose state");
    command.parse_complete_callback([&instance] {
        if (!instance.config && !instance.name && !instance.path)
            throw CLI::RequiredError("--config, --name or --path");
    });
}

}  // namespace

void add_state(CLI::App& app, StateWish& wish, const std::function<void(StateAction)>& chosen) {
    CLI::App* state = app.add_subcommand("state", "The flows that outlive noclash");
    state->require_subcommand(1);
    state->fallthrough();
    state->footer(about_state);
    add_instance(*add(
                     *state, "show", "What lies in the state file, and who has it",
                     [](const Settings& settings, const StateWish& all) {
                         return show_state(settings, all.instance);
                     },
                     chosen),
                 wish.instance);
    add_instance(*add(
                     *state, "remove", "Remove the state file, and the flows with it",
                     [](const Settings& settings, const StateWish& all) {
                         return remove_state(settings, all.instance);
                     },
                     chosen),
                 wish.instance);

    CLI::App* leaving = add(
        *state, "export", "Write the flows to a file that every later release reads",
        [](const Settings& settings, const StateWish& all) {
            export_state(settings, all.instance, all.file);
            return true;
        },
        chosen);
    add_instance(*leaving, wish.instance);
    leaving->add_option("FILE", wish.file, "-: standard output")->capture_default_str();
    leaving->footer(about_export);

    CLI::App* coming = add(
        *state, "import", "Make the state file that the next start adopts",
        [](const Settings& settings, const StateWish& all) {
            import_state(settings, all.instance, all.file,
                         all.replace ? dpdk::Replace::yes : dpdk::Replace::no);
            return true;
        },
        chosen);
    coming->add_option("--config", wish.instance.config, "The configuration of the next start")
        ->type_name("FILE")
        ->required()
        ->group("Whose state");
    coming->add_option("FILE", wish.file, "-: standard input")->required();
    coming->add_flag("--replace", wish.replace, "Throw away the flows that are there already");
    coming->footer(about_import);
}

}  // namespace noclash::tools
