// SPDX-License-Identifier: Apache-2.0

// The store of fragments, without any packet: see tests/fuzz/reassembly_driver.hpp.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <vector>

#include "nat/fragments/reassembly_store.hpp"
#include "tests/fuzz/reassembly_driver.hpp"

namespace noclash::nat::reassembly_test {
namespace {

using test::BufferSink;
using test::FragmentBuffer;
using test::ReassemblyDriver;
using What = BufferSink::What;

std::vector<std::uint8_t> random_input(std::mt19937& random, std::size_t fragments,
                                       unsigned places) {
    std::vector<std::uint8_t> input(fragments * ReassemblyDriver::input_bytes);
    for (std::size_t i = 0; i < input.size(); ++i) {
        input[i] = static_cast<std::uint8_t>(random());
        if (i % ReassemblyDriver::input_bytes == 1)
            input[i] = static_cast<std::uint8_t>(input[i] % places);
    }
    return input;
}

TEST(ReassemblyStore, DoesAsAMapOfBytesSays) {
    std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same test each time
    std::uint64_t wholes = 0;
    for (int round = 0; round < 300; ++round) {
        ReassemblyDriver driver(2048, 2048, false);
        driver.drive(random_input(random, 300, static_cast<std::uint32_t>(1 + random() % 12)));
        wholes += driver.wholes();
    }
    EXPECT_GT(wholes, 1000U);
}

// [RFC 4787 REQ-14]
TEST(ReassemblyStore, KeepsItsBoundsWithoutRoom) {
    std::mt19937 random(2);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same test each time
    std::uint64_t wholes = 0;
    for (const auto& [capacity, per_source] :
         std::array<std::array<std::uint32_t, 2>, 4>{{{1, 2}, {3, 2}, {7, 7}, {16, 5}}}) {
        for (int round = 0; round < 100; ++round) {
            ReassemblyDriver driver(capacity, per_source, true);
            driver.drive(random_input(random, 300, static_cast<std::uint32_t>(1 + random() % 6)));
            wholes += driver.wholes();
        }
    }
    EXPECT_GT(wholes, 1000U);
}

/// Fragments of 552 bytes of payload each.
class Store : public testing::Test {
  protected:
    static constexpr std::uint32_t step = 552;

    void add(std::uint32_t source, std::uint32_t id, std::uint32_t number, std::uint32_t of,
             std::uint8_t fill = 0) {
        FragmentBuffer& buffer = buffers_.emplace_back();
        buffer.begin = number * step;
        buffer.last = number + 1 == of;
        buffer.bytes.assign(step, fill);
        store_.add(
            fragment_key<V4>(V4Address::from_host(source), V4Address::from_host(9), 17, id, 0),
            {&buffer, buffer.bytes.data(), buffer.begin, buffer.end(), step + 20, buffer.last},
            now_ms_, sink_);
    }
    [[nodiscard]] std::size_t count(What what, DropReason reason = DropReason::none) const {
        return static_cast<std::size_t>(
            std::count_if(sink_.events.begin(), sink_.events.end(), [&](const auto& event) {
                return std::get<1>(event) == what && std::get<2>(event) == reason;
            }));
    }

    ReassemblyStore<V4> store_{{2048, 512, 3000}};
    std::deque<FragmentBuffer> buffers_;
    BufferSink sink_;
    std::uint64_t now_ms_ = 1;
};

TEST_F(Store, TheLongestPacketPassesInAnyOrder) {
    std::vector<std::uint32_t> order(119);
    for (std::uint32_t i = 0; i < order.size(); ++i)
        order[i] = i;
    std::mt19937 random(3);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same test each time
    for (std::uint32_t id = 0; id < 20; ++id) {
        if (id == 1) std::reverse(order.begin(), order.end());
        if (id > 1) std::shuffle(order.begin(), order.end(), random);
        for (const std::uint32_t number : order)
            add(1, id, number, 119);
    }
    EXPECT_EQ(count(What::joined), 20U * 119U);
    EXPECT_EQ(sink_.events.size(), 20U * 119U);
}

TEST_F(Store, FourOfTheLongestOfOneHostMayComeAtOnce) {
    for (std::uint32_t number = 0; number < 119; ++number)
        for (std::uint32_t id = 0; id < 4; ++id)
            add(1, id, number, 119);
    EXPECT_EQ(count(What::joined), 4U * 119U);
}

// [RFC 4787 REQ-14]: what a source holds without end does not keep its next packets out, nor do
// many sources together those of others.
TEST_F(Store, TheOldestGivesWay) {
    for (std::uint32_t id = 0; id < 600; ++id)
        add(1, id, 0, 2);
    EXPECT_EQ(count(What::dropped, DropReason::fragment_source), 600U - 512U);
    for (std::uint32_t number = 0; number < 119; ++number)
        add(1, 1000, number, 119);
    EXPECT_EQ(count(What::joined), 119U);
    for (std::uint32_t source = 100; source < 4000; ++source)
        add(source, 0, 0, 2);
    EXPECT_EQ(store_.waiting(), 2048U);
    for (std::uint32_t number = 0; number < 119; ++number)
        add(2, 1000, number, 119);
    EXPECT_EQ(count(What::joined), 238U);
}

// A flood in the name of a host has to be faster than the host's own packet.
TEST_F(Store, AFloodBetweenTheFragmentsOfAPacketCostsItNothing) {
    std::uint32_t id = 5000;
    for (std::uint32_t number = 0; number < 45; ++number) {
        add(1, 1, number, 45);
        for (int i = 0; i < 10; ++i)
            add(1, id++, 0, 2);
    }
    EXPECT_EQ(count(What::joined), 45U);
}

TEST_F(Store, TooManyFragmentsHaveANameOfTheirOwn) {
    for (std::uint32_t number = 0; number < most_pieces; ++number)
        add(1, 1, number + 1, 1000);
    add(1, 1, 1, 1000);
    EXPECT_EQ(count(What::copied), 1U);
    add(1, 1, 0, 1000);
    EXPECT_EQ(count(What::dropped, DropReason::fragment_count), most_pieces + 1U);
    EXPECT_EQ(store_.waiting(), 0U);
}

TEST_F(Store, ACopyOfOneThatIsOverIsNoLoss) {
    add(1, 1, 0, 2);
    add(1, 1, 0, 2);
    add(1, 1, 1, 2);
    EXPECT_EQ(count(What::joined), 2U);
    add(1, 1, 1, 2);
    now_ms_ += 3001;
    store_.expire(now_ms_, sink_);
    EXPECT_EQ(count(What::copied), 2U);
    EXPECT_EQ(count(What::dropped, DropReason::fragment_timeout), 0U);
    // Its key may be used again at once.
    for (int round = 0; round < 2; ++round)
        for (std::uint32_t number = 0; number < 2; ++number)
            add(1, 1, number, 2);
    EXPECT_EQ(count(What::joined), 6U);
}

// RFC 5722, which IPv6 demands, and which harms no IPv4.
TEST_F(Store, NothingTakesThePlaceOfWhatContradicted) {
    add(1, 1, 0, 2);
    add(1, 1, 0, 2, 1);
    add(1, 1, 0, 2);
    add(1, 1, 1, 2);
    EXPECT_EQ(count(What::dropped, DropReason::fragment_overlap), 4U);
    now_ms_ += 3001;
    add(1, 1, 0, 2);
    add(1, 1, 1, 2);
    EXPECT_EQ(count(What::joined), 2U);
    EXPECT_TRUE(store_.waiting() == 0 && !store_.empty());
    store_.expire(now_ms_ + 3001, sink_);
    EXPECT_TRUE(store_.empty());
}

}  // namespace
}  // namespace noclash::nat::reassembly_test
