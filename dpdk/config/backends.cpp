// SPDX-License-Identifier: Apache-2.0

// The backends of a service.

#include <fmt/format.h>

#include <unordered_set>

#include "dpdk/config/sections.hpp"
#include "dpdk/config/services.hpp"
#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

namespace {

using Backend = nat::Backend<V4>;

constexpr std::string_view backends_form =
    "an array of backends, each as \"10.2.0.2:80\" or { address = \"10.2.0.2:80\", weight = 5 }";

/// A backend; nothing when `text` is none, which is noted.
std::optional<Backend> read_text(const Section& section, Where where, std::string_view key,
                                 std::string_view text) {
    auto backend = parse_backend(text);
    if (!backend)
        section.fault_at(where, key, fmt::format("{:?} is no address of a host", text),
                         backend_form);
    return backend;
}

std::optional<Backend> read_table(const Section& part) {
    part.allow_only({"address", "weight"});
    std::uint16_t weight = 1;
    part.read("weight", weight, nat::no_weight, nat::most_weight);
    if (!part.require("address", backend_form)) return std::nullopt;
    const auto text = part.text("address", backend_form);
    auto backend = text ? read_text(part, text->where, "address", text->value) : std::nullopt;
    if (backend) backend->weight = weight;
    return backend;
}

std::optional<Backend> read_backend(const Section& section, const Element& element) {
    if (const auto text = element.text())
        return read_text(section, element.where(), "backends", *text);
    if (element.is_table()) return read_table(section.part("backends", element));
    section.wrong_type("backends", element, backends_form);
    return std::nullopt;
}

/// Of the address and port, which are what a backend is known by.
std::uint64_t identity(const Backend& backend) {
    return std::uint64_t{backend.address.value.host()} << 16U | backend.port;
}

}  // namespace

std::optional<Backend> parse_backend(std::string_view text) {
    const auto target = parse_target(text);
    if (!target || !usable_by_host(target->address)) return std::nullopt;
    return Backend{target->address, target->port.value_or(0), 1};
}

std::vector<Backend> read_backends(const Section& section) {
    std::vector<Backend> backends;
    const auto elements = section.elements("backends");
    if (elements.size() > most_backends) {
        section.fault("backends", fmt::format("{} backends are too many", elements.size()),
                      fmt::format("at most {}", most_backends));
        return backends;
    }
    backends.reserve(elements.size());
    std::unordered_set<std::uint64_t> seen;
    seen.reserve(elements.size());
    for (const Element& element : elements) {
        const auto backend = read_backend(section, element);
        if (!backend) continue;
        if (!seen.insert(identity(*backend)).second)
            section.fault_at(element.where(), "backends",
                             fmt::format("{} is named twice", backend_text(*backend)),
                             "each backend once; a `weight` gives it a greater share");
        backends.push_back(*backend);
    }
    return backends;
}

}  // namespace noclash::dpdk
