// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/port_probes.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace noclash::racelab::port_probes_test {
namespace {

/// Gives what it was made with, in order; then zeros.
class Script {
  public:
    Script(std::initializer_list<std::uint16_t> numbers) : numbers_(numbers) {}
    std::uint16_t operator()() { return next_ < numbers_.size() ? numbers_[next_++] : 0; }
    [[nodiscard]] std::size_t drawn() const { return next_; }

  private:
    std::vector<std::uint16_t> numbers_;
    std::size_t next_ = 0;
};

/// The ports asked for, all of which are taken but `free`.
struct Asked {
    std::vector<std::uint16_t> ports;
    std::set<std::uint16_t> free;

    bool operator()(std::uint16_t port) {
        ports.push_back(port);
        return !free.contains(port);
    }
};

TEST(PortProbes, ASmallRangeIsTriedOnceAroundFromTheOffset) {
    Asked asked;
    Script random{13};
    const Probed probed = probe_ports({5000, 5}, random, asked);
    EXPECT_EQ(asked.ports, (std::vector<std::uint16_t>{5003, 5004, 5000, 5001, 5002}));
    EXPECT_FALSE(probed.free);
    EXPECT_EQ(probed.port, 5002) << "the last one tried, taken as it is";
    EXPECT_EQ(probed.tries, 5U);
    EXPECT_EQ(random.drawn(), 1U);
}

TEST(PortProbes, StopsAtTheFirstFreePort) {
    Asked asked{{}, {5004, 5000}};
    const Probed probed = probe_ports({5000, 5}, Script{3}, asked);
    EXPECT_TRUE(probed.free);
    EXPECT_EQ(probed.port, 5004);
    EXPECT_EQ(probed.tries, 2U);
}

TEST(PortProbes, AWideRangeIsTriedInFiveRowsOf248PortsTogether) {
    Asked asked;
    Script random{0, 1000, 2000, 3000, 4000};
    const Probed probed = probe_ports({1024, 64512}, std::ref(random), asked);
    EXPECT_FALSE(probed.free);
    EXPECT_EQ(probed.tries, 248U);
    EXPECT_EQ(random.drawn(), 5U);
    std::vector<std::uint16_t> expected;
    std::uint16_t offset = 0;
    for (const int row : {128, 64, 32, 16, 8}) {
        for (int i = 0; i < row; ++i)
            expected.push_back(static_cast<std::uint16_t>(1024 + offset + i));
        offset = static_cast<std::uint16_t>(offset + 1000);
    }
    EXPECT_EQ(asked.ports, expected);
}

TEST(PortProbes, A128thPortEndsTheSearchAndA129thDoesNot) {
    Asked all;
    EXPECT_EQ(probe_ports({1, 128}, Script{}, std::ref(all)).tries, 128U);
    Asked all_but_one;
    EXPECT_EQ(probe_ports({1, 129}, Script{}, std::ref(all_but_one)).tries, 248U);
}

TEST(PortProbes, OffsetsAre16BitNumbersThatWrapToTheFirstPort) {
    Asked asked{{}, {1026}};
    // 65534 % 64512 = 1022; after 65535 comes 0.
    const Probed probed = probe_ports({1024, 64512}, Script{65534}, std::ref(asked));
    EXPECT_EQ(asked.ports, (std::vector<std::uint16_t>{2046, 2047, 1024, 1025, 1026}));
    EXPECT_EQ(probed.port, 1026);
}

TEST(PortProbes, APortStaysInItsClass) {
    EXPECT_EQ(port_space_of(1), (PortSpace{1, 511}));
    EXPECT_EQ(port_space_of(511), (PortSpace{1, 511}));
    EXPECT_EQ(port_space_of(512), (PortSpace{600, 424}));
    EXPECT_EQ(port_space_of(1023), (PortSpace{600, 424}));
    EXPECT_EQ(port_space_of(1024), (PortSpace{1024, 64512}));
    EXPECT_EQ(port_space_of(65535), (PortSpace{1024, 64512}));
}

}  // namespace
}  // namespace noclash::racelab::port_probes_test
