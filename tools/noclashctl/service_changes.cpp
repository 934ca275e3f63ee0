// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/service_changes.hpp"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

#include "dpdk/control/control_request.hpp"
#include "tools/noclashctl/byte_file.hpp"

namespace noclash::tools {

namespace {

using nlohmann::json;

// A file may have more spaces and line ends than the request that is made of it.
constexpr std::size_t longest_file = 16 * dpdk::longest_request;

std::string too_long(const std::string& what, std::size_t most) {
    return fmt::format(
        "{} has more than {} bytes; split the changes over several files: each of them is made as "
        "a whole or not at all",
        what, fmt::group_digits(most));
}

std::string read_text(const std::string& file) {
    ByteInput input(file);
    std::string text;
    std::array<std::uint8_t, 65536> part{};
    while (const std::size_t got = input.read(part)) {
        text.append(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(got));
        if (text.size() > longest_file) throw std::runtime_error(too_long(file, longest_file));
    }
    return text;
}

}  // namespace

json read_changes(const std::string& file) {
    const std::string text = read_text(file);
    // The JSON library recurses when it writes an object: noclash would refuse a deep one anyway.
    const auto is_shallow = [&](int depth, json::parse_event_t event, const json&) {
        const bool begins =
            event == json::parse_event_t::array_start || event == json::parse_event_t::object_start;
        if (!begins || depth < static_cast<int>(dpdk::deepest_request)) return true;
        throw std::runtime_error(
            fmt::format("{}: is nested deeper than {} levels", file, dpdk::deepest_request));
    };
    json changes;
    try {
        changes = json::parse(text, is_shallow);
    } catch (const json::exception& error) {
        throw std::runtime_error(fmt::format("{}: is no JSON: {}", file, error.what()));
    }
    if (!changes.is_array()) changes = json::array({std::move(changes)});
    for (json& change : changes)
        if (change.is_object() && !change.contains("op"))
            change = {{"op", "set"}, {"service", std::move(change)}};
    return changes;
}

json change_request(json changes) {
    json request{{"command", "service change"}};
    request["changes"] = std::move(changes);
    if (request.dump().size() > dpdk::longest_request)
        throw std::runtime_error(too_long("the request", dpdk::longest_request));
    return request;
}

}  // namespace noclash::tools
