// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/tcp_options.hpp"

#include <gtest/gtest.h>

#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::tcp_options_test {
namespace {

using test::Bytes;

/// A header with these options, as long as they are and not a byte longer: whoever reads on is
/// caught by AddressSanitizer.
std::uint32_t find(const Bytes& options, TcpOption wanted) {
    Bytes header(20);
    header.insert(header.end(), options.begin(), options.end());
    return find_tcp_option(header.data(), static_cast<std::uint32_t>(header.size()), wanted);
}

TEST(TcpOptions, AreFoundBehindAndBetweenOthers) {
    // As Linux sends them in a SYN: MSS, SACK permitted, timestamps, no-operation, window scale.
    const Bytes syn{2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
    EXPECT_EQ(find(syn, tcp_option::max_segment_size), 22U);
    EXPECT_EQ(find(syn, tcp_option::timestamps), 28U);
    EXPECT_EQ(find(syn, tcp_option::window_scale), 39U);
    EXPECT_EQ(find({1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0}, tcp_option::timestamps), 24U);
}

TEST(TcpOptions, AreNotFoundWhereTheyAreNot) {
    EXPECT_EQ(find({}, tcp_option::window_scale), 0U);
    EXPECT_EQ(find({1, 1, 1, 1}, tcp_option::window_scale), 0U);
    EXPECT_EQ(find({0, 3, 3, 7}, tcp_option::window_scale), 0U) << "behind the end of the list";
    EXPECT_EQ(find({5, 6, 3, 3, 7, 0, 0, 0}, tcp_option::window_scale), 0U) << "within another";
    EXPECT_EQ(find({3, 4, 7, 0}, tcp_option::window_scale), 0U) << "of another length";
}

TEST(TcpOptions, ABrokenOneEndsTheSearch) {
    EXPECT_EQ(find({2, 0, 3, 3, 7, 0, 0, 0}, tcp_option::window_scale), 0U);
    EXPECT_EQ(find({2, 1, 3, 3, 7, 0, 0, 0}, tcp_option::window_scale), 0U);
    EXPECT_EQ(find({2, 40, 3, 3, 7, 0, 0, 0}, tcp_option::window_scale), 0U);
    EXPECT_EQ(find({1, 1, 3, 3}, tcp_option::window_scale), 0U) << "its value is beyond the header";
    EXPECT_EQ(find({1, 1, 1, 3}, tcp_option::window_scale), 0U)
        << "its length is beyond the header";
}

}  // namespace
}  // namespace noclash::nat::tcp_options_test
