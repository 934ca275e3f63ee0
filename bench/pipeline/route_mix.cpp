// SPDX-License-Identifier: Apache-2.0
#include "bench/pipeline/route_mix.hpp"

#include <fmt/format.h>

#include <array>
#include <random>
#include <unordered_set>

#include "bench/pipeline/bed.hpp"

namespace noclash::bench {
namespace {

/// How many of a thousand routes have a length.
struct Share {
    std::uint8_t length;
    unsigned of_thousand;
};
constexpr std::array shares{Share{8, 1},    Share{12, 5},  Share{14, 5},   Share{16, 60},
                            Share{18, 20},  Share{19, 40}, Share{20, 60},  Share{21, 60},
                            Share{22, 110}, Share{23, 90}, Share{24, 499}, Share{26, 10},
                            Share{28, 10},  Share{29, 10}, Share{32, 20}};

std::uint8_t length_of(std::uint32_t drawn) {
    unsigned place = drawn % 1000;
    for (const Share& share : shares) {
        if (place < share.of_thousand) return share.length;
        place -= share.of_thousand;
    }
    return 32;
}

std::string text_of(std::uint32_t host) {
    return to_string<V4>(V4Address::from_host(host));
}

/// Clients are in 10/8, ports and the pool in 192/8 and 198/8; no packet goes to 127/8.
bool is_taken(std::uint32_t first_byte) {
    return first_byte < 11 || first_byte == 127 || first_byte == 192 || first_byte == 198 ||
           first_byte > 223;
}

constexpr std::uint32_t servers = 0xcb000000;  // 203.0.0.0

std::string route(std::uint32_t network, std::uint8_t length, std::uint32_t router) {
    return fmt::format("[[route]]\nto = \"{}/{}\"\nvia = \"{}\"\n", text_of(network), length,
                       text_of(0xc6120002 + router));
}

}  // namespace

std::string few_routes() {
    const nat::MacAddress mac = Bed::neighbor_mac(Side::outside);
    std::string text;
    for (std::uint32_t router = 0; router < mix_routers; ++router) {
        text += route(servers + (router << 22U), 10, router);
        if (router == 0) continue;  // the bench's own answers ARP
        text += fmt::format("[[neighbor]]\naddress = \"{}\"\nmac = \"{:02x}\"\n",
                            text_of(0xc6120002 + router), fmt::join(mac.bytes, ":"));
    }
    return text;
}

std::string many_routes(std::uint32_t count) {
    auto random = [drawn = std::mt19937(1)]() mutable {
        return static_cast<std::uint32_t>(drawn());
    };
    std::string text = few_routes();
    std::unordered_set<std::uint64_t> made;
    while (made.size() < count) {
        const std::uint8_t length = length_of(random());
        std::uint32_t network = random();
        if (random() % 2 == 0) network = servers | (network & 0xffffffU);
        network &= ~std::uint32_t{0} << (32U - length);
        if (is_taken(network >> 24U)) continue;
        if (!made.insert(std::uint64_t{network} << 8U | length).second) continue;
        text += route(network, length, random() % mix_routers);
    }
    return text;
}

}  // namespace noclash::bench
