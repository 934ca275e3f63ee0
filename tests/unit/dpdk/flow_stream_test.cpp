// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/flow_stream.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "tests/unit/dpdk/stream_samples.hpp"

namespace noclash::dpdk::flow_stream_test {
namespace {

using test::read_stream;
using test::sample_content;
using test::sealed;
using test::StreamBytes;
using test::StreamContent;
using test::written;
using testing::HasSubstr;

constexpr std::size_t header_and_sum = 112 + 8;
constexpr std::size_t head = 16;
constexpr std::size_t flow_with_length = 2 + 104;

void expect_same(const StreamContent& one, const StreamContent& other) {
    EXPECT_EQ(one.header.release, other.header.release);
    EXPECT_EQ(one.header.boot_id, other.header.boot_id);
    EXPECT_EQ(one.header.wall_ms, other.header.wall_ms);
    EXPECT_EQ(one.header.monotonic_ms, other.header.monotonic_ms);
    EXPECT_EQ(one.kept.identities, other.kept.identities);
    EXPECT_EQ(one.kept.configuration_file, other.kept.configuration_file);
    EXPECT_EQ(one.kept.configuration, other.kept.configuration);
    for (std::size_t i = 0; i < one.clocks.clocks.size(); ++i) {
        EXPECT_EQ(one.clocks.clocks[i].value, other.clocks.clocks[i].value);
        EXPECT_EQ(one.clocks.clocks[i].ahead_ms, other.clocks.clocks[i].ahead_ms);
    }
    EXPECT_EQ(one.clocks.packet_ids.key, other.clocks.packet_ids.key);
    EXPECT_EQ(one.clocks.packet_ids.counts, other.clocks.packet_ids.counts);
    EXPECT_EQ(one.flows, other.flows);
}

/// Why a stream is refused; empty: it is read.
std::string refusal(const StreamBytes& bytes) {
    try {
        static_cast<void>(read_stream(bytes));
        return "";
    } catch (const StreamError& error) {
        return error.what();
    }
}

StreamBytes sample() {
    StreamContent content = sample_content();
    return written(content);
}

template <class Number>
void set(StreamBytes& bytes, std::size_t at, Number value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

TEST(FlowStream, KeepsAllThatItIsGiven) {
    expect_same(read_stream(sample()), sample_content());
}

TEST(FlowStream, KeepsFlowsOfManySections) {
    StreamContent content = sample_content();
    const StreamFlow flow = content.flows.front();
    for (std::uint32_t i = 0; i < 10000; ++i) {
        content.flows.push_back(flow);
        content.flows.back().protocol_word = i;
    }
    expect_same(read_stream(written(content)), content);
}

TEST(FlowStream, ThatIsEmptyIsOne) {
    StreamContent content;
    expect_same(read_stream(written(content)), content);
}

TEST(FlowStream, ThatIsCutIsRefused) {
    const StreamBytes whole = sample();
    for (std::size_t size = 0; size < whole.size(); size += size < 500 ? 1 : 97)
        EXPECT_THAT(refusal({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}),
                    HasSubstr("cut"))
            << size;
    StreamBytes longer = whole;
    longer.push_back(0);
    EXPECT_EQ(refusal(longer), "something follows its end");
}

TEST(FlowStream, ThatIsDamagedIsRefused) {
    const StreamBytes whole = sample();
    for (std::size_t at = 0; at < whole.size();
         at += at < 500 || at + 700 > whole.size() ? 1 : 89) {
        StreamBytes damaged = whole;
        damaged[at] ^= 0x20;
        EXPECT_NE(refusal(damaged), "") << at;
    }
}

TEST(FlowStream, OfAnotherKindOrLaterVersionIsRefusedByName) {
    EXPECT_EQ(refusal(StreamBytes(1000, 'x')), "it is no stream of flows");
    StreamBytes later = sample();
    set(later, 8, flow_stream_version + 1);
    EXPECT_EQ(refusal(sealed(later)), "it is of version 2, and this release reads version 1");
}

TEST(FlowStream, SaysHowManyFlowsItHas) {
    StreamBytes bytes = sample();
    set(bytes, 104, std::uint64_t{5});
    EXPECT_EQ(refusal(sealed(bytes)), "it says that it has 5 flows, and has 4");
    set(bytes, 104, std::uint64_t{3});
    EXPECT_EQ(refusal(sealed(bytes)), "it has more flows than it says");
    set(bytes, 104, ~std::uint64_t{0});
    EXPECT_EQ(refusal(sealed(bytes)), "it has an implausible number of flows");
}

TEST(FlowStream, HeaderMayGrow) {
    StreamBytes bytes = sample();
    set(bytes, 12, std::uint32_t{112 + 24});
    bytes.insert(bytes.begin() + 112, 24, 0xaa);
    expect_same(read_stream(sealed(bytes)), sample_content());
}

TEST(FlowStream, SectionsThatMayBeSkippedAre) {
    StreamBytes bytes = sample();
    StreamBytes section(head + 5 + 8, 0);
    set(section, 0, std::uint32_t{77});
    set(section, 8, std::uint64_t{5});
    bytes.insert(bytes.begin() + header_and_sum, section.begin(), section.end());
    expect_same(read_stream(sealed(bytes)), sample_content());
    set(bytes, header_and_sum + 4, std::uint32_t{1});
    EXPECT_THAT(refusal(sealed(bytes)), HasSubstr("section of kind 77"));
}

/// The place of the section of flows in `sample()`.
std::size_t flows_section(const StreamBytes& bytes) {
    return bytes.size() - (head + 8) - (head + 4 * flow_with_length + 8);
}

TEST(FlowStream, FlowsMayGetFurtherFields) {
    StreamBytes bytes = sample();
    const std::size_t at = flows_section(bytes);
    // The shift of sequence numbers, which a flow without one may have, too, and what follows.
    StreamBytes further(4 + 6, 0xaa);
    set(further, 0, std::uint32_t{0});
    set(bytes, at + 8, std::uint64_t{4 * flow_with_length + further.size()});
    set(bytes, at + head, static_cast<std::uint16_t>(104 + further.size()));
    bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at + head + flow_with_length),
                 further.begin(), further.end());
    expect_same(read_stream(sealed(bytes)), sample_content());
}

TEST(FlowStream, FlowsThatAreImplausibleAreRefused) {
    const StreamBytes whole = sample();
    const std::size_t fields = flows_section(whole) + head + 2;
    const auto refused = [&](std::size_t at, auto value) {
        StreamBytes bytes = whole;
        set(bytes, fields + at, value);
        return refusal(sealed(bytes));
    };
    EXPECT_THAT(refused(0, std::uint8_t{6}), HasSubstr("address family"));
    EXPECT_EQ(refused(1, std::uint8_t{4}), "a flow is implausible");
    EXPECT_EQ(refused(3, std::uint8_t{0}), "a flow is implausible");
    EXPECT_EQ(refused(3, std::uint8_t{3}), "a flow is implausible");
    EXPECT_EQ(refused(32, std::uint32_t{1} << 31U), "the lifetime of a flow is implausible");
    StreamBytes shorter = whole;
    set(shorter, fields - 2, std::uint16_t{103});
    EXPECT_EQ(refusal(sealed(shorter)), "a flow ends too soon");
}

TEST(FlowStream, NamesThatAreImplausibleAreRefused) {
    StreamContent content = sample_content();
    content.kept.identities.rules = {"twice", "twice"};
    EXPECT_THAT(refusal(written(content)), HasSubstr("implausible"));
}

/// What the first release that had streams wrote: the bytes of `sample()`, as it was then. It stays
/// as it is. A later version of the format gets a file of its own, beside this one: its `sample()`,
/// written once.
const std::string golden = NOCLASH_STREAMS "/version1.flows";

TEST(GoldenStream, OfVersion1IsRead) {
    std::ifstream file(golden, std::ios::binary);
    const StreamBytes bytes{std::istreambuf_iterator<char>(file), {}};
    ASSERT_FALSE(bytes.empty()) << golden;
    expect_same(read_stream(bytes), sample_content());
}

}  // namespace
}  // namespace noclash::dpdk::flow_stream_test
