// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/services_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "tools/noclashctl/tables.hpp"

namespace noclash::tools {

namespace {

using nlohmann::json;

constexpr std::string_view indentation = "    ";
constexpr std::size_t most_ports = 4;  // more would make all lines of the table long

/// `tcp 192.0.2.7 port 80, 8000-8010 in outside`
std::string endpoint_of(const json& service) {
    std::string text = fmt::format("{} {} port ", service.at("protocol").get<std::string>(),
                                   service.at("address").get<std::string>());
    const auto ports = service.at("ports").get<std::vector<std::string>>();
    const std::size_t shown = std::min(ports.size(), most_ports);
    for (std::size_t i = 0; i < shown; ++i)
        text += (i == 0 ? "" : ", ") + ports[i];
    if (ports.size() > shown) text += fmt::format(" and {} more", ports.size() - shown);
    const json& in = service.at("in");
    return in.is_null() ? text : text + " in " + in.get<std::string>();
}

/// The part of new flows that a backend gets: ` 16.7 %`.
std::string share_of(const json& backend, std::uint64_t slots) {
    const auto own = backend.at("slots").get<std::uint64_t>();
    const double share = slots == 0 ? 0 : static_cast<double>(own) / static_cast<double>(slots);
    return fmt::format("{:5.1f} %", 100 * share);
}

/// Hands out the lines of a table one after another.
class Lines {
  public:
    explicit Lines(std::string text) : text_(std::move(text)) {}

    std::string_view next() {
        const std::size_t begin = begin_;
        begin_ = text_.find('\n', begin) + 1;
        return std::string_view(text_).substr(begin, begin_ - begin);
    }

  private:
    std::string text_;
    std::size_t begin_ = 0;
};

}  // namespace

std::string services_text(const std::vector<json>& services) {
    TextTable of_services({"service", "endpoint", "source", "affinity", "condition", "origin"});
    TextTable of_backends(
        {"backend", "state", "health", "weight", "share", "openings", "unanswered"});
    for (const json& service : services) {
        const auto text = [&](const char* key) { return service.at(key).get<std::string>(); };
        of_services.add({text("name"), endpoint_of(service), text("source"), text("affinity"),
                         text("condition"), text("origin")});
        const auto slots = service.at("slots").get<std::uint64_t>();
        for (const json& backend : service.at("backends"))
            of_backends.add({backend.at("backend").get<std::string>(),
                             backend.at("state").get<std::string>(),
                             backend.at("health").get<std::string>(), backend.at("weight").dump(),
                             share_of(backend, slots), backend.at("openings").dump(),
                             backend.at("unanswered").dump()});
    }
    Lines service_lines(of_services.text());
    Lines backend_lines(of_backends.text());
    std::string text;
    const auto add = [&](std::size_t backends) {
        text += service_lines.next();
        for (; backends > 0; --backends)
            text.append(indentation).append(backend_lines.next());
    };
    add(1);  // the headers
    for (const json& service : services)
        add(service.at("backends").size());
    return text;
}

std::string changed_text(const json& outcome) {
    const auto number = [&](const char* key) { return outcome.at(key).get<std::uint64_t>(); };
    if (number("changed") == 0) return "No change: services are so already.\n";
    return fmt::format("{} in {} ms, {} so already; {} ended.\n",
                       counted(number("changed"), "change"), fmt::group_digits(number("took_ms")),
                       fmt::group_digits(number("unchanged")),
                       counted(number("flows_ended"), "flow"));
}

}  // namespace noclash::tools
