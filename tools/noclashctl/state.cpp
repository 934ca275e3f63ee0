// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/state.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dpdk/config/config.hpp"
#include "dpdk/state/state_path.hpp"
#include "dpdk/state/state_place.hpp"
#include "dpdk/state/state_view.hpp"
#include "tools/noclashctl/byte_file.hpp"
#include "tools/noclashctl/output.hpp"
#include "tools/noclashctl/progress.hpp"
#include "tools/noclashctl/state_text.hpp"

namespace noclash::tools {

namespace {

using nlohmann::json;

dpdk::Config config_of(const std::string& file) {
    dpdk::Config config = dpdk::load_config(file);
    if (!config.state.keep) {
        throw std::runtime_error(fmt::format(
            "{}: this instance keeps no state: it has no `name`, or `[state] keep = false`", file));
    }
    return config;
}

std::string path_of(const Instance& instance) {
    if (instance.path) return *instance.path;
    if (instance.name) return dpdk::state_place(*instance.name, 0);
    return dpdk::state_path(config_of(instance.config.value()));
}

void print_row(const json& row) {
    JsonArray array;
    array.add(row.dump(-1, ' ', false, json::error_handler_t::replace));
    array.close();
}

std::string count_text(const dpdk::Transferred& done) {
    return done.over == 0 ? fmt::format("{} flows", done.carried)
                          : fmt::format("{} flows ({} more were over)", done.carried, done.over);
}

}  // namespace

bool show_state(const Settings& settings, const Instance& instance) {
    const json row = state_row(path_of(instance));
    if (settings.format == Format::json)
        print_row(row);
    else
        print(state_text(row));
    return row.at("kind") != "none";
}

bool remove_state(const Settings& settings, const Instance& instance) {
    const std::string path = path_of(instance);
    if (!dpdk::is_state_there(path)) return false;
    dpdk::remove_state(path);
    if (settings.format == Format::json)
        print_row({{"path", path}});
    else
        print(fmt::format("{}: removed\n", path));
    return true;
}

void export_state(const Settings& settings, const Instance& instance, const std::string& file) {
    if (file == "-" && ::isatty(STDOUT_FILENO) != 0) {
        throw std::runtime_error(
            "a stream of flows is nothing to read: name a FILE, or redirect the output");
    }
    dpdk::StateView view(path_of(instance));
    ByteOutput output(file);
    ProgressLine line("exported");
    const dpdk::Transferred done = dpdk::export_state(
        view, [&](std::span<const std::uint8_t> bytes) { output.write(bytes); },
        [&](std::uint64_t some, std::uint64_t all) { line.show(some, all); });
    output.finish();
    line.end();
    if (file == "-") return;
    if (settings.format == Format::json)
        print_row(
            {{"path", view.path()}, {"file", file}, {"flows", done.carried}, {"over", done.over}});
    else
        print(fmt::format("{}: exported {}\n", file, count_text(done)));
}

void import_state(const Settings& settings, const Instance& instance, const std::string& file,
                  dpdk::Replace replace) {
    const dpdk::Config config = config_of(instance.config.value());
    const std::string path = dpdk::state_path(config);
    ByteInput input(file);
    ProgressLine line("imported");
    dpdk::Transferred done;
    try {
        done = dpdk::import_state(
            path, dpdk::state_records(config),
            [&](std::span<std::uint8_t> bytes) { return input.read(bytes); }, replace,
            [&](std::uint64_t some, std::uint64_t all) { line.show(some, all); });
    } catch (const dpdk::StreamError& error) {
        throw std::runtime_error(fmt::format("{}: {}; nothing was imported",
                                             file == "-" ? "the stream" : file, error.what()));
    }
    line.end();
    if (settings.format == Format::json)
        print_row({{"path", path}, {"flows", done.carried}, {"over", done.over}});
    else
        print(fmt::format("{}: imported {}\n", path, count_text(done)));
}

}  // namespace noclash::tools
