// SPDX-License-Identifier: Apache-2.0
#include "engine/tuple.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "engine/tuple_hash.hpp"
#include "tests/unit/engine/engine_fixture.hpp"

namespace noclash::test::tuple_test {

template <class Family>
class TupleTest : public testing::Test {};
using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(TupleTest, Families);

TYPED_TEST(TupleTest, InverseOfInverseIsTheSame) {
    const auto t = tuple<TypeParam>(1, 2);
    EXPECT_NE(t, t.inverse());
    EXPECT_EQ(t, t.inverse().inverse());
    EXPECT_EQ(t.inverse().source, t.destination);
    EXPECT_EQ(t.inverse().source_port, t.destination_port);
}

TYPED_TEST(TupleTest, EveryFieldCounts) {
    const TupleHash hash;
    const auto t = tuple<TypeParam>(1, 2);
    auto other = t;
    other.zone = 1;
    EXPECT_NE(hash(t), hash(other));
    other = t;
    other.protocol = 17;
    EXPECT_NE(hash(t), hash(other));
    EXPECT_EQ(hash(t), hash(tuple<TypeParam>(1, 2)));
}

TYPED_TEST(TupleTest, HashIsNewAtEachStart) {
    const TupleHash one, another;
    EXPECT_NE(one(tuple<TypeParam>(1, 2)), another(tuple<TypeParam>(1, 2)));
}

TEST(Endian, HostAndWireDiffer) {
    const auto port = Be16::from_host(0x1234);
    EXPECT_EQ(port.host(), 0x1234);
    const auto wire = port.wire();
    EXPECT_EQ(*reinterpret_cast<const std::uint8_t*>(&wire), 0x12);
}

TEST(Address, TextForms) {
    EXPECT_EQ(to_string<V4>(*parse_address<V4>("192.0.2.1")), "192.0.2.1");
    EXPECT_EQ(to_string<V6>(*parse_address<V6>("2001:db8:0::1")), "2001:db8::1");
    EXPECT_FALSE(parse_address<V4>("192.0.2.256"));
    EXPECT_FALSE(parse_address<V6>("192.0.2.1"));
}

TEST(Address, PrefixEdges) {
    const auto within = [](const char* network, std::uint8_t length, const char* address) {
        return Prefix<V4>{*parse_address<V4>(network), length}.contains(
            *parse_address<V4>(address));
    };
    EXPECT_TRUE(within("0.0.0.0", 0, "255.255.255.255"));
    EXPECT_TRUE(within("10.0.0.0", 9, "10.127.255.255"));
    EXPECT_FALSE(within("10.0.0.0", 9, "10.128.0.0"));
    EXPECT_TRUE(within("10.0.0.1", 32, "10.0.0.1"));
    EXPECT_FALSE(within("10.0.0.1", 32, "10.0.0.0"));
}

// IPv4 prefixes are compared as words, IPv6 ones byte by byte: the same answer, with zeros behind.
TEST(Address, PrefixesOfBothFamiliesAgree) {
    std::mt19937 random{1};
    const auto bytes_of = [](const V4Address& address) {
        V6Address longer;
        std::memcpy(longer.bytes.data(), &address, sizeof address);
        return longer;
    };
    for (int i = 0; i < 1000; ++i) {
        const auto a = static_cast<std::uint32_t>(random());
        const std::uint32_t b = a ^ static_cast<std::uint32_t>(random()) >> random() % 32;
        for (unsigned length = 0; length <= 32; ++length)
            for (const std::uint32_t other : {a, b}) {
                const V4Address left = V4Address::from_host(a);
                const V4Address right = V4Address::from_host(other);
                ASSERT_EQ(same_prefix<V4>(left, right, length),
                          same_prefix<V6>(bytes_of(left), bytes_of(right), length));
            }
    }
}

}  // namespace noclash::test::tuple_test
