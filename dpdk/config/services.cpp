// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/services.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "dpdk/config/protocol_names.hpp"
#include "dpdk/config/sections.hpp"
#include "dpdk/config/service_conflicts.hpp"
#include "dpdk/config/values.hpp"
#include "dpdk/config/words.hpp"
#include "nat/packet/protocols.hpp"

namespace noclash::dpdk {

namespace {

using Service = nat::Service<V4>;

constexpr std::int64_t longest_drain_s = 86'400;
constexpr std::string_view inhibit_form =
    "true, false or a table, as { failures = 3, first_s = 10, most_s = 300 }";

void read_address(const Section& section, Service& service) {
    constexpr std::string_view expected = "the address that clients use, as \"192.0.2.7\"";
    if (!section.require("address", expected)) return;
    const auto text = section.text("address", expected);
    if (!text) return;
    const auto address = parse_v4(text->value);
    if (address && usable_by_host(*address))
        service.address = *address;
    else
        section.fault("address", fmt::format("{:?} is no address of a host", text->value),
                      expected);
}

void read_protocol(const Section& section, Service& service) {
    namespace number = nat::ip_protocol;
    constexpr std::array protocols{number::tcp, number::udp, number::sctp};
    constexpr std::string_view expected = "\"tcp\", \"udp\" or \"sctp\"";
    if (!section.require("protocol", expected)) return;
    const auto text = section.text("protocol", expected);
    if (!text) return;
    const auto protocol = parse_protocol(text->value);
    if (protocol && std::ranges::find(protocols, *protocol) != protocols.end())
        service.protocol = *protocol;
    else if (protocol && !number::has_ports(*protocol))
        section.fault("protocol", fmt::format("{:?} has no ports", text->value), expected);
    else
        section.fault("protocol", fmt::format("{:?} is no protocol of services", text->value),
                      expected);
}

constexpr std::string_view ports_form =
    "a port, as 80, a range, as \"8000-8010\", or an array of both";

/// One of `ports`; nothing when it is unfit.
std::optional<nat::PortRange> read_ports(const Section& section, const Element& element) {
    constexpr std::int64_t most = 65535;
    if (const auto port = element.integer()) {
        if (*port >= 1 && *port <= most)
            return nat::PortRange{static_cast<std::uint16_t>(*port),
                                  static_cast<std::uint16_t>(*port)};
        section.fault_at(element.where(), "ports", fmt::format("{} is out of range", *port),
                         "a port from 1 to 65535");
    } else if (const auto text = element.text()) {
        if (const auto range = parse_port_range(*text)) return range;
        section.fault_at(element.where(), "ports",
                         fmt::format("{:?} is no range of ports from 1 to 65535", *text),
                         ports_form);
    } else {
        section.wrong_type("ports", element, ports_form);
    }
    return std::nullopt;
}

void read_ports(const Section& section, Service& service) {
    if (!section.require("ports", ports_form)) return;
    const auto elements = section.elements("ports");
    if (elements.empty()) section.fault("ports", "is an empty array", ports_form);
    if (elements.size() > most_service_ports) {
        section.fault("ports", fmt::format("{} ports and ranges are too many", elements.size()),
                      fmt::format("at most {}", most_service_ports));
        return;
    }
    for (const Element& element : elements) {
        const auto range = read_ports(section, element);
        if (!range) continue;
        const auto other = std::ranges::find_if(
            service.ports, [&](nat::PortRange earlier) { return earlier.overlaps(*range); });
        if (other != service.ports.end())
            section.fault_at(element.where(), "ports",
                             fmt::format("{} and {} overlap", to_text(*other), to_text(*range)),
                             "each port once");
        service.ports.push_back(*range);
    }
}

void read_service_source(const Section& section, const Config& config, Service& service) {
    const auto [source_nat, pool] = read_source(section, config);
    service.source_nat = source_nat;
    service.pool = pool.value_or(0);
    // A service's flows get a port each, and mappings share theirs with nobody.
    if (pool && config.policy.pools[*pool].behavior.mapping == nat::Mapping::endpoint_independent)
        section.fault("source",
                      fmt::format("pool {:?} has endpoint-independent mappings",
                                  config.policy.pools[*pool].name),
                      "a pool with `mapping = \"endpoint-dependent\"`");
}

void read_inhibit(const Section& section, nat::Inhibit& inhibit) {
    if (!section.has("inhibit")) return;
    const auto elements = section.elements("inhibit");
    if (elements.size() != 1) {
        section.fault("inhibit", "is an array", inhibit_form);
    } else if (const auto is_on = elements[0].boolean()) {
        inhibit.failures = *is_on ? nat::usual_failures : 0;
    } else if (elements[0].is_table()) {
        const Section part = section.part("inhibit", elements[0]);
        part.allow_only({"failures", "first_s", "most_s"});
        inhibit.failures = nat::usual_failures;
        part.read("failures", inhibit.failures, 1, most_inhibit_failures);
        part.read("first_s", inhibit.first_s, 1, longest_inhibit_s);
        inhibit.most_s = std::max(inhibit.most_s, inhibit.first_s);
        part.read("most_s", inhibit.most_s, 1, longest_inhibit_s);
        if (inhibit.most_s < inhibit.first_s)
            part.fault(
                "most_s",
                fmt::format("{} is less than `first_s`, {}", inhibit.most_s, inhibit.first_s),
                "as many seconds at least");
    } else {
        section.wrong_type("inhibit", elements[0], inhibit_form);
    }
}

}  // namespace

Service read_service(const Section& section, const Config& config) {
    section.allow_only({"name", "address", "ports", "protocol", "in", "source", "affinity",
                        "no_backend", "on_gone", "drain_s", "syn_proxy", "syn_proxy_above",
                        "syn_offer", "inhibit", "backends"});
    Service service;
    service.name = read_name(section, longest_service_name);
    read_address(section, service);
    read_protocol(section, service);
    read_ports(section, service);
    service.ingress_port = read_ingress(section, config);
    read_service_source(section, config, service);
    read_word(section, "affinity", affinity_words, service.affinity);
    read_word(section, "no_backend", no_backend_words, service.no_backend);
    read_word(section, "on_gone", on_gone_words, service.on_gone);
    section.read("drain_s", service.drain_s, 0, longest_drain_s);
    read_syn_proxy(section, service);
    read_inhibit(section, service.inhibit);
    service.backends = read_backends(section);
    return service;
}

void read_services(const Section& top, Config& config) {
    const auto sections = top.tables("service");
    if (sections.empty()) return;
    if (sections.size() > most_services) {
        top.fault("service", fmt::format("{} services are too many", sections.size()),
                  fmt::format("at most {}", most_services));
        return;
    }
    ServiceConflicts conflicts(config);
    std::vector<Service>& services = config.policy.services;
    services.reserve(sections.size());
    std::size_t backends = 0;
    for (const Section& section : sections) {
        services.push_back(read_service(section, config));
        if (section.is_faulty()) continue;
        const Service& service = services.back();
        for (const ServiceConflict& conflict : conflicts.find(service))
            note(section, conflict);
        if (!section.is_faulty()) conflicts.insert(service);
        const std::size_t before = backends;
        backends += service.backends.size();
        if (before <= most_backends_in_all && backends > most_backends_in_all)
            section.fault("backends", "up to this service, there are too many backends",
                          fmt::format("at most {} in all", most_backends_in_all));
    }
}

}  // namespace noclash::dpdk
