// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "dpdk/config/device_string.hpp"
#include "dpdk/config/sections.hpp"
#include "dpdk/config/values.hpp"
#include "dpdk/config/words.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::size_t most_ports = 32;  // RTE_MAX_ETHPORTS

bool subnets_overlap(const PortConfig& a, const PortConfig& b) {
    return same_prefix<V4>(a.address, b.address, std::min(a.prefix_length, b.prefix_length));
}

/// True for addresses that have the form of the subnet's or of its broadcast; /31 (RFC 3021) and
/// /32 have none.
bool ends_subnet(V4Address address, std::uint8_t length) {
    return length < 31 &&
           (address == network_of(address, length) || address == broadcast_of(address, length));
}

std::string subnet_text(const PortConfig& port) {
    return to_text({network_of(port.address, port.prefix_length), port.prefix_length});
}

/// @return false when the port has no address that other sections could be checked against.
bool read_port_address(const Section& section, PortConfig& port) {
    constexpr std::string_view expected = "an address with its prefix length, as 10.1.0.1/24";
    if (!section.require("address", expected)) return false;
    const auto text = section.text("address", expected);
    if (!text) return false;
    const auto address = parse_address_with_length(text->value, std::nullopt);
    if (!address) {
        section.fault("address",
                      fmt::format("{:?} is no address with a prefix length", text->value),
                      expected);
        return false;
    }
    if (address->length == 0) {
        section.fault("address", "a subnet of the whole address space", "a length from 1 to 32");
        return false;
    }
    if (!usable_by_host(address->address) || ends_subnet(address->address, address->length)) {
        section.fault("address",
                      fmt::format("{:?} is no address that a host may have", text->value),
                      "a unicast address other than the subnet's first and last");
        return false;
    }
    port.address = address->address;
    port.prefix_length = address->length;
    return true;
}

void read_device(const Section& section, const Config& config, PortConfig& port) {
    const std::string expected = fmt::format("one of {}", device_forms);
    if (!section.require("device", expected)) return;
    const auto text = section.text("device", expected);
    if (!text) return;
    port.device = text->value;
    const auto parsed = parse_device(port, config.ports.size(), config.workers);
    if (const auto* wrong = std::get_if<std::string>(&parsed)) {
        section.fault("device", *wrong, expected);
        return;
    }
    const auto& device = std::get<Device>(parsed);
    for (std::size_t i = 0; i < config.ports.size(); ++i) {
        const auto other = parse_device(config.ports[i], i, config.workers);
        const auto* other_device = std::get_if<Device>(&other);
        if (config.ports[i].device == port.device ||
            (other_device != nullptr && other_device->name == device.name)) {
            section.fault("device",
                          fmt::format("port {:?} has the same device", config.ports[i].name),
                          "a device of its own");
        } else if (other_device != nullptr && !kernel_interface(device).empty() &&
                   kernel_interface(*other_device) == kernel_interface(device)) {
            section.fault("device",
                          fmt::format("port {:?} uses interface {}, too", config.ports[i].name,
                                      kernel_interface(device)),
                          "an interface of its own");
        }
    }
}

void read_port(const Section& section, Config& config) {
    section.allow_only({"name", "device", "address", "mtu", "descriptors", "reverse_path"});
    PortConfig port;
    port.name = read_name(section);
    if (!port.name.empty() && index_of(config.ports, port.name)) {
        section.fault("name", fmt::format("another port is called {:?}", port.name),
                      "a name of its own");
    }
    section.read("mtu", port.mtu, 576, 9600);
    section.read("descriptors", port.descriptors, 64, 16384);
    if (!std::has_single_bit(port.descriptors)) {
        section.fault("descriptors", fmt::format("{} is no power of two", port.descriptors),
                      "a power of two from 64 to 16384");
    }
    read_word(section, "reverse_path", reverse_path_words, port.reverse_path);
    read_device(section, config, port);
    if (!read_port_address(section, port)) {
        // Kept for its name; length 0 marks an address that is not to be compared with.
        port.prefix_length = 0;
        config.ports.push_back(port);
        return;
    }
    for (const PortConfig& other : config.ports) {
        if (other.prefix_length != 0 && subnets_overlap(port, other)) {
            section.fault("address",
                          fmt::format("subnet {} overlaps {} of port {:?}", subnet_text(port),
                                      subnet_text(other), other.name),
                          "subnets that do not overlap");
        }
    }
    config.ports.push_back(port);
}

/// Prefixes that routes lead to. There may be a hundred thousand of them.
class Destinations {
  public:
    void add(const Prefix<V4>& prefix) { words_.insert(word_of(prefix)); }
    [[nodiscard]] bool contains(const Prefix<V4>& prefix) const {
        return words_.contains(word_of(prefix));
    }

  private:
    static std::uint64_t word_of(const Prefix<V4>& prefix) {
        return std::uint64_t{prefix.network.value.host()} << 8U | prefix.length;
    }

    std::unordered_set<std::uint64_t> words_;
};

/// The prefix that a route leads to; nothing when it is unfit.
std::optional<Prefix<V4>> read_destination(const Section& section, const Config& config,
                                           const Destinations& others) {
    constexpr std::string_view expected = "a prefix, as 0.0.0.0/0";
    if (!section.require("to", expected)) return std::nullopt;
    const auto text = section.text("to", expected);
    if (!text) return std::nullopt;
    const auto parsed = parse_address_with_length(text->value, std::nullopt);
    if (!parsed) {
        section.fault("to", fmt::format("{:?} is no prefix", text->value), expected);
        return std::nullopt;
    }
    const Prefix<V4> prefix{network_of(parsed->address, parsed->length), parsed->length};
    if (prefix.network != parsed->address) {
        section.fault("to", fmt::format("{:?} has host bits set", text->value), to_text(prefix));
        return std::nullopt;
    }
    if (others.contains(prefix))
        section.fault("to", fmt::format("another route leads to {}", to_text(prefix)),
                      "one route to each prefix");
    for (const PortConfig& port : config.ports) {
        if (port.prefix_length != 0 && port.prefix_length == prefix.length &&
            prefix.contains(port.address)) {
            section.fault("to",
                          fmt::format("{} is the subnet of port {:?}", to_text(prefix), port.name),
                          "a prefix that no port is connected to");
        }
    }
    return prefix;
}

void read_route(const Section& section, Config& config, Destinations& others) {
    section.allow_only({"to", "via"});
    const auto prefix = read_destination(section, config, others);

    constexpr std::string_view expected = "the address of a router in the subnet of one port";
    if (!section.require("via", expected)) return;
    const auto text = section.text("via", expected);
    if (!text) return;
    const auto via = parse_v4(text->value);
    if (!via) {
        section.fault("via", fmt::format("{:?} is no address", text->value), expected);
        return;
    }
    for (std::size_t i = 0; i < config.ports.size(); ++i) {
        const PortConfig& port = config.ports[i];
        if (port.prefix_length == 0) continue;
        if (!same_prefix<V4>(*via, port.address, port.prefix_length)) continue;
        if (*via == port.address) {
            section.fault("via", fmt::format("{} is port {:?} itself", text->value, port.name),
                          expected);
        } else if (ends_subnet(*via, port.prefix_length)) {
            section.fault("via",
                          fmt::format("{} is the first or last address of {}", text->value,
                                      subnet_text(port)),
                          expected);
        } else if (prefix) {
            config.routes.push_back({*prefix, *via, static_cast<std::uint16_t>(i)});
            others.add(*prefix);
        }
        return;
    }
    // A port whose address is unfit may be the one.
    if (std::ranges::find(config.ports, 0, &PortConfig::prefix_length) != config.ports.end())
        return;
    section.fault("via", fmt::format("{} lies in no port's subnet", text->value), expected);
}

}  // namespace

void read_ports(const Section& top, Config& config) {
    const auto sections = top.tables("port");
    if (!top.has("port")) top.require("port", "at least one [[port]]");
    if (top.has("port") && sections.empty()) top.fault("port", "names no port", "at least one");
    if (sections.size() > most_ports) {
        top.fault("port", fmt::format("{} ports", sections.size()),
                  fmt::format("at most {}", most_ports));
    }
    for (const Section& section : sections)
        read_port(section, config);
}

void read_routes(const Section& top, Config& config) {
    Destinations read;
    for (const Section& section : top.tables("route"))
        read_route(section, config, read);
}

}  // namespace noclash::dpdk
