// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/usage.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace noclash::tools {

namespace {

/// Letters to insert, delete, replace or swap with their neighbour (Damerau, Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before_last;
    std::vector<std::size_t> last(b.size() + 1);
    std::iota(last.begin(), last.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::vector<std::size_t> row{i};
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U);
            row.push_back(std::min({last[j] + 1, row[j - 1] + 1, replaced}));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before_last[j - 2] + 1);
        }
        before_last = std::exchange(last, std::move(row));
    }
    return last.back();
}

/// The command that the line got to: `noclashctl flows list`.
const CLI::App& reached(const CLI::App& app) {
    const auto parsed = app.get_subcommands();
    return parsed.empty() ? app : reached(*parsed.back());
}

std::string full_name(const CLI::App& command) {
    const CLI::App* parent = command.get_parent();
    return parent == nullptr ? command.get_name() : full_name(*parent) + " " + command.get_name();
}

std::vector<std::string> commands_of(const CLI::App& command) {
    std::vector<std::string> names;
    for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(sub->get_name());
    return names;
}

std::vector<std::string> options_of(const CLI::App& command) {
    std::vector<std::string> names;
    for (const CLI::Option* option : command.get_options()) {
        for (const std::string& name : option->get_lnames())
            names.push_back("--" + name);
    }
    if (command.get_parent() == nullptr) return names;
    const auto above = options_of(*command.get_parent());
    names.insert(names.end(), above.begin(), above.end());
    return names;
}

std::string fault_of(const CLI::App& command, const std::vector<std::string>& leftover,
                     const CLI::ParseError& error) {
    const auto commands = commands_of(command);
    const std::string all = commands.empty() ? "" : fmt::format(" ({})", fmt::join(commands, ", "));
    if (leftover.empty()) {
        const bool lacks_command = !commands.empty() && command.get_subcommands().empty();
        return lacks_command ? "a command is required" + all : error.what();
    }
    const std::string& word = leftover.front();
    if (word.starts_with('-')) {
        const std::string name = word.substr(0, word.find('='));
        return fmt::format("there is no option {}{}", name, suggestion(name, options_of(command)));
    }
    if (commands.empty()) return fmt::format("\"{}\" is one word too many", word);
    return fmt::format("there is no command \"{}\"{}{}", word, all, suggestion(word, commands));
}

}  // namespace

std::optional<std::string> closest(std::string_view word, const std::vector<std::string>& known) {
    const std::size_t name_at = std::min(word.find_first_not_of('-'), word.size());
    const std::size_t letters = word.size() - name_at;
    const auto begins = std::ranges::find_if(
        known, [&](const std::string& name) { return letters > 1 && name.starts_with(word); });
    if (begins != known.end()) return *begins;
    std::optional<std::string> found;
    std::size_t least = std::max<std::size_t>(1, letters / 2) + 1;
    for (const std::string& name : known) {
        const std::size_t far = distance(word, name);
        if (far < least && far < letters) {
            least = far;
            found = name;
        }
    }
    return found;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
    const auto found = closest(word, known);
    return found ? fmt::format("; did you mean {}?", *found) : "";
}

std::string explain(const CLI::App& app, const CLI::ParseError& error) {
    const CLI::App& command = reached(app);
    const std::string name = full_name(command);
    return fmt::format("{}: {}\n`{} --help` says more.\n", name,
                       fault_of(command, app.remaining(true), error), name);
}

}  // namespace noclash::tools
