// SPDX-License-Identifier: Apache-2.0
// Whom packets are for, by services' exact ports and by the classifier.

#include "nat/policy/service_ports.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "nat/packet/protocols.hpp"
#include "nat/policy/rule_classifier.hpp"
#include "nat/policy/service_rules.hpp"

namespace noclash::nat::service_ports_test {
namespace {

/// No policy: nothing is known of backends.
struct Nothing {
    static const Rule<V4>* find_rule(RuleId) { return nullptr; }
    struct {
        static std::shared_ptr<ServiceBackends<V4>> shared_backends(const Rule<V4>&) {
            return nullptr;
        }
    } service_rules;
};

/// Draws services and packets from few values, so that many share a VIP, a port or both.
class Draw {
  public:
    explicit Draw(std::uint32_t seed) : random_(seed) {}

    std::uint32_t below(std::uint32_t bound) {
        return static_cast<std::uint32_t>(random_() % bound);
    }
    V4Address address() { return V4Address::from_host(0xcb00'7100U + below(3) * 0x101U); }
    std::uint16_t port() {
        return static_cast<std::uint16_t>(below(8) == 0 ? below(2) * 65535U : 440 + below(12));
    }
    std::uint8_t protocol() {
        constexpr std::array some{ip_protocol::tcp, ip_protocol::udp, ip_protocol::sctp};
        return some[below(some.size())];
    }
    std::uint16_t ingress_port() { return static_cast<std::uint16_t>(below(3)); }

    /// @param with_wide  some have ranges of many ports
    Service<V4> service(bool with_wide) {
        Service<V4> drawn;
        drawn.name = "s" + std::to_string(number_++);
        drawn.address = address();
        drawn.protocol = protocol();
        if (below(2) == 0) drawn.ingress_port = ingress_port();
        for (std::uint32_t i = 0, count = 1 + below(3); i < count; ++i) {
            const std::uint16_t first = port();
            std::uint32_t size = below(16) == 0 ? 2 + below(with_wide ? 19 : 15) : 1;
            if (with_wide && below(10) == 0) size = 65536;
            const std::uint32_t last = std::min(first + size - 1, 65535U);
            drawn.ports.push_back({first, static_cast<std::uint16_t>(last)});
        }
        return drawn;
    }
    Tuple<V4> packet() {
        Tuple<V4> tuple{};
        tuple.source = V4Address::from_host(static_cast<std::uint32_t>(random_()));
        tuple.source_port = Be16::from_host(static_cast<std::uint16_t>(random_()));
        tuple.destination = below(10) == 0 ? V4Address::from_host(0x0a00'0001) : address();
        tuple.destination_port = Be16::from_host(port());
        tuple.protocol = below(10) == 0 ? ip_protocol::icmp : protocol();
        return tuple;
    }

  private:
    std::mt19937 random_;
    unsigned number_ = 0;
};

struct Answers {
    unsigned by_ports = 0;  ///< that the exact ports gave
    unsigned others = 0;    ///< that the classifier alone knew
};

/// Compares what `ServiceRules` says of packets with what a classifier of all its rules says, and
/// what `ServicePorts` says of its own.
void compare(const std::vector<Service<V4>>& services, Draw& draw, Answers& answers) {
    Identities identities{256};
    const ServiceRules<V4> rules(std::span<const Service<V4>>(services), identities,
                                 static_cast<const Nothing*>(nullptr));
    const RuleClassifier<V4> oracle{rules.rules()};
    for (unsigned i = 0; i < 400; ++i) {
        const Tuple<V4> tuple = draw.packet();
        const std::uint16_t in = draw.ingress_port();
        const Rule<V4>* const expected = oracle.find(tuple, in);
        ASSERT_EQ(rules.find(tuple, in), expected)
            << services.size() << " services, protocol " << unsigned{tuple.protocol} << " to "
            << to_string<V4>(tuple.destination) << " port " << tuple.destination_port.host()
            << " in " << in;
        const auto* place = rules.ports().find(rules.ports().home_of(tuple), tuple, in);
        if (place != nullptr) {
            ASSERT_EQ(&rules.rules()[place->rule()], expected);
            ASSERT_EQ(place->service(), expected->service);
            ++answers.by_ports;
        } else if (expected != nullptr) {
            ASSERT_FALSE(rules.ports().is_complete());
            ++answers.others;
        }
    }
}

TEST(ServicePorts, AnswerAsTheClassifierDoes) {
    Draw draw(5);
    Answers answers;
    for (unsigned round = 0; round < 800 && !HasFailure(); ++round) {
        std::vector<Service<V4>> services;
        const std::uint32_t count = 1 + draw.below(round % 4 == 0 ? 120 : 12);
        for (std::uint32_t i = 0; i < count; ++i)
            services.push_back(draw.service(round % 2 == 0));
        compare(services, draw, answers);
    }
    EXPECT_GT(answers.by_ports, 10'000U);
    EXPECT_GT(answers.others, 10'000U);
}

Service<V4> at(const char* vip, std::vector<PortRange> ports) {
    Service<V4> service;
    service.name = "one";
    service.address = *parse_address<V4>(vip);
    service.ports = std::move(ports);
    service.protocol = ip_protocol::tcp;
    return service;
}

bool is_complete(std::vector<PortRange> ports) {
    const std::vector<Service<V4>> services{at("203.0.113.7", std::move(ports))};
    Identities identities{16};
    return ServiceRules<V4>(std::span<const Service<V4>>(services), identities,
                            static_cast<const Nothing*>(nullptr))
        .ports()
        .is_complete();
}

TEST(ServicePorts, HaveShortRangesButNotLongOnes) {
    EXPECT_TRUE(is_complete({{80, 80}, {443, 443}}));
    EXPECT_TRUE(is_complete({{8000, 8010}}));
    EXPECT_FALSE(is_complete({{80, 80}, {8000, 8016}}));
    EXPECT_FALSE(is_complete({{0, 65535}}));
}

/// However many short ranges there are, they take no more than a few places for each rule.
TEST(ServicePorts, ManyRangesAreLeftToTheClassifier) {
    std::vector<PortRange> ports;
    for (std::uint16_t i = 0; i < 60; ++i)
        ports.push_back(
            {static_cast<std::uint16_t>(16 * i), static_cast<std::uint16_t>(16 * i + 15)});
    EXPECT_FALSE(is_complete(ports));
}

}  // namespace
}  // namespace noclash::nat::service_ports_test
