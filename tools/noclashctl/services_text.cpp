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

std::string state_of(const json& backend) {
    const auto inhibited_s = backend.at("inhibited_s").get<std::uint64_t>();
    const auto state = backend.at("state").get<std::string>();
    return inhibited_s == 0 || state != "down" ? state : fmt::format("inhibited {} s", inhibited_s);
}

/// `<16 ms`, `<2.0 s`
std::string below(const json& ms) {
    if (ms.is_null()) return "-";
    const auto number = ms.get<std::uint64_t>();
    return number < 1000 ? fmt::format("<{} ms", number)
                         : fmt::format("<{:.1f} s", static_cast<double>(number) / 1000);
}

/// A line about a backend whose queue of connections overflows; else nothing.
std::string overflow_of(const json& backend) {
    if (!backend.at("queue_overflow_likely").get<bool>()) return "";
    const auto number = [&](const char* key) { return backend.at(key).get<std::uint64_t>(); };
    const std::uint64_t late = number("late"), repeated = number("repeated_answers");
    std::string text = fmt::format("{0}{0}queue overflow likely: ", indentation);
    if (late != 0)
        text +=
            fmt::format("{} of {} openings unanswered, answered after {:.1f} s",
                        fmt::group_digits(late), fmt::group_digits(number("openings")),
                        static_cast<double>(number("late_ms")) / 1000 / static_cast<double>(late));
    if (repeated != 0)
        text += fmt::format("{}{} of {} openings acknowledged in vain", late == 0 ? "" : "; ",
                            fmt::group_digits(repeated), fmt::group_digits(number("openings")));
    return text + '\n';
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
    TextTable of_backends({"backend", "state", "health", "weight", "share", "openings",
                           "unanswered", "refused", "reset", "half-open", "p50", "p99"});
    for (const json& service : services) {
        const auto text = [&](const char* key) { return service.at(key).get<std::string>(); };
        of_services.add(
            {text("name"), endpoint_of(service), text("source"), text("affinity"),
             text("condition") + (service.at("guarded").get<bool>() ? ", SYN proxy" : ""),
             text("origin")});
        const auto slots = service.at("slots").get<std::uint64_t>();
        for (const json& backend : service.at("backends"))
            of_backends.add({backend.at("backend").get<std::string>(), state_of(backend),
                             backend.at("health").get<std::string>(), backend.at("weight").dump(),
                             share_of(backend, slots), backend.at("openings").dump(),
                             backend.at("unanswered").dump(), backend.at("refused").dump(),
                             backend.at("reset").dump(), backend.at("half_open").dump(),
                             below(backend.at("p50_below_ms")), below(backend.at("p99_below_ms"))});
    }
    Lines service_lines(of_services.text());
    Lines backend_lines(of_backends.text());
    std::string text;
    const auto add_backend = [&] { text.append(indentation).append(backend_lines.next()); };
    text += service_lines.next();  // the headers
    add_backend();
    for (const json& service : services) {
        text += service_lines.next();
        for (const json& backend : service.at("backends")) {
            add_backend();
            text += overflow_of(backend);
        }
    }
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
