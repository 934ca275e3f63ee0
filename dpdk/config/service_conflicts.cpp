// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/service_conflicts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

namespace {

/// A rule without a protocol is for all of them.
bool is_for(const std::optional<std::uint8_t>& protocol, const nat::Service<V4>& service) {
    return !protocol || *protocol == service.protocol;
}

bool has_port(const nat::Service<V4>& service, std::uint16_t port) {
    return std::ranges::any_of(service.ports,
                               [port](nat::PortRange range) { return range.contains(port); });
}

void count_down(std::unordered_map<std::uint32_t, std::size_t>& counts, V4Address address) {
    const auto counted = counts.find(address.value.host());
    if (--counted->second == 0) counts.erase(counted);
}

}  // namespace

void note(const Section& section, const ServiceConflict& conflict) {
    const auto& [key, backend, what, expected] = conflict;
    if (backend)
        section.fault_at(section.elements(key)[*backend].where(), key, what, expected);
    else
        section.fault(key, what, expected);
}

ServiceConflicts::ServiceConflicts(const Config& config)
    : tracks_windows_(config.policy.tcp.window != nat::TcpWindow::off),
      others_(config),
      own_(config),
      endpoints_(config.ports.size()) {
    for (const StaticNeighbor& neighbor : config.static_neighbors)
        neighbors_.insert(neighbor.address.value.host());
    for (const auto& rule : config.policy.rules) {
        rules_.insert(rule.name);
        if (rule.mapping) {
            const auto& [address, port] = rule.mapping->outside;
            outsides_.emplace(address.value.host(), Outside{rule.name, rule.protocol, port});
        }
        if (rule.source_nat == nat::SourceNat::masquerade &&
            rule.behavior.mapping == nat::Mapping::endpoint_independent)
            mappers_.push_back({rule.name, rule.protocol, rule.ports});
    }
}

std::vector<ServiceConflict> ServiceConflicts::find(const Service& service) const {
    Conflicts found;
    find_name(service, found);
    find_address(service, found);
    find_endpoint(service, found);
    find_source(service, found);
    if (service.syn_proxy != nat::SynProxyMode::off && !tracks_windows_)
        found.push_back({"syn_proxy",
                         {},
                         "needs to know sequence numbers, and `tcp_window` is \"off\"",
                         "`tcp_window = \"liberal\"`, or `syn_proxy = \"off\"`"});
    for (std::size_t i = 0; i < service.backends.size(); ++i) {
        if (auto conflict = find(service, service.backends[i].address)) {
            conflict->backend = i;
            found.push_back(*std::move(conflict));
        }
    }
    return found;
}

void ServiceConflicts::find_name(const Service& service, Conflicts& found) const {
    constexpr std::string_view expected = "a name of its own among services and rules";
    const bool taken = names_.contains(service.name);
    if (!taken && !rules_.contains(service.name)) return;
    found.push_back(
        {"name",
         {},
         fmt::format("a{} is called {:?}", taken ? "nother service" : " rule", service.name),
         expected});
}

/// The gateway answers for a VIP, so nobody else can have it. A port or a pool may.
void ServiceConflicts::find_address(const Service& service, Conflicts& found) const {
    constexpr std::string_view expected = "an address of the gateway, or one that nobody has";
    const std::uint32_t address = service.address.value.host();
    const auto add = [&](std::string what) {
        found.push_back({"address", {}, std::move(what), expected});
    };
    if (auto taken = others_.router_or_subnet({address, address}))
        add(*std::move(taken));
    else if (neighbors_.contains(address))
        add(fmt::format("{} is the address of a [[neighbor]]", to_string<V4>(service.address)));
    else if (backends_.contains(address))
        add(fmt::format("{} is a backend of another service", to_string<V4>(service.address)));
}

/// Who gets a packet must not depend on what stands first.
void ServiceConflicts::find_endpoint(const Service& service, Conflicts& found) const {
    if (const auto overlap = endpoints_.overlap(service))
        found.push_back({"ports",
                         {},
                         fmt::format("service {:?} has ports of {} of {}, too", overlap->name,
                                     to_text(overlap->ports), to_string<V4>(service.address)),
                         "other ports, another `address`, or another `in` in both"});
    const auto [begin, end] = outsides_.equal_range(service.address.value.host());
    for (auto outside = begin; outside != end; ++outside) {
        const auto& [rule, protocol, port] = outside->second;
        if (!is_for(protocol, service)) continue;
        if (!port)
            found.push_back(
                {"address",
                 {},
                 fmt::format("rule {:?} binds all of {}", rule, to_string<V4>(service.address)),
                 "an address that no rule binds, or a port in `inside` and `outside` "
                 "of the rule"});
        else if (has_port(service, *port))
            found.push_back({"ports",
                             {},
                             fmt::format("rule {:?} binds port {} of {}", rule, *port,
                                         to_string<V4>(service.address)),
                             "ports that no rule binds"});
    }
}

/// A service that masquerades gives out ports as a rule with defaults does.
void ServiceConflicts::find_source(const Service& service, Conflicts& found) const {
    if (service.source_nat != nat::SourceNat::masquerade) return;
    const auto mapper = std::ranges::find_if(mappers_, [&](const Mapper& other) {
        return is_for(other.protocol, service) && other.ports.overlaps(nat::PortRange{});
    });
    if (mapper == mappers_.end()) return;
    found.push_back({"source",
                     {},
                     fmt::format("gives out the same ports as rule {:?}, whose mappings are "
                                 "endpoint-independent and cannot share them",
                                 mapper->rule),
                     "`source = \"pool:NAME\"`, or `ports` of the rule below 1024"});
}

std::optional<ServiceConflict> ServiceConflicts::find(const Service& service,
                                                      V4Address backend) const {
    constexpr std::string_view expected = "the address of a host";
    const std::uint32_t address = backend.value.host();
    const auto conflict = [&](std::string what) {
        return ServiceConflict{"backends", {}, std::move(what), expected};
    };
    if (auto end = others_.subnet_end({address, address})) return conflict(*std::move(end));
    if (const std::string* owner = own_.owner(backend))
        return conflict(
            fmt::format("{} is {}, and nothing listens there", to_string<V4>(backend), *owner));
    if (backend == service.address)
        return conflict(
            fmt::format("{} is the `address` of the service itself", to_string<V4>(backend)));
    if (vips_.contains(address))
        return conflict(
            fmt::format("{} is the address of another service, and nothing listens there",
                        to_string<V4>(backend)));
    return std::nullopt;
}

void ServiceConflicts::insert(const Service& service) {
    names_.insert(service.name);
    endpoints_.insert(service);
    ++vips_[service.address.value.host()];
    for (const auto& backend : service.backends)
        ++backends_[backend.address.value.host()];
}

void ServiceConflicts::erase(const Service& service) {
    names_.erase(service.name);
    endpoints_.erase(service);
    count_down(vips_, service.address);
    for (const auto& backend : service.backends)
        count_down(backends_, backend.address);
}

}  // namespace noclash::dpdk
