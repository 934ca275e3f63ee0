// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/shortage_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace noclash::dpdk::shortage_log_test {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::Optional;

constexpr std::uint64_t minute = ShortageLog::interval_ms;

// [RFC 6888 REQ-11]
TEST(ShortageLog, RingsAtOnceThenOnceAMinuteAndSaysWhenItIsOver) {
    ShortageLog alarm;
    EXPECT_EQ(alarm.look({0, 0, 0, 0}, 1000), std::nullopt);
    EXPECT_THAT(alarm.look({7, 0, 0, 0}, 2000), Optional(HasSubstr("7 packets")));
    EXPECT_TRUE(alarm.ringing());
    EXPECT_EQ(alarm.look({9, 0, 0, 0}, 3000), std::nullopt);
    EXPECT_THAT(alarm.look({9, 0, 3, 0}, 2000 + minute),
                Optional(HasSubstr("5 packets that would have opened connections were dropped "
                                   "(2 exhausted, 3 table_full)")));
    EXPECT_EQ(alarm.look({9, 0, 3, 0}, 3000 + minute), std::nullopt);
    EXPECT_THAT(alarm.look({9, 0, 3, 0}, 2000 + 2 * minute), Optional(HasSubstr("room")));
    EXPECT_FALSE(alarm.ringing());
    EXPECT_EQ(alarm.look({9, 0, 3, 0}, 3000 + 2 * minute), std::nullopt);
    EXPECT_THAT(alarm.look({9, 1, 3, 0}, 4000 + 2 * minute),
                Optional(HasSubstr("1 search_timeout")));
}

// [RFC 6888 REQ-4]
TEST(ShortageLog, TellsOfLimitsToo) {
    ShortageLog alarm;
    const auto said = alarm.look({0, 0, 0, 0, 3, 2, 0, 1}, 5);
    EXPECT_THAT(said, Optional(HasSubstr("3 subscriber_flows, 2 subscriber_ports, "
                                         "1 half_open_service")));
    EXPECT_THAT(said, Optional(HasSubstr("noclashctl subscribers")));
}

TEST(ShortageLog, RingsInTheFirstMinuteOfTheClockToo) {
    ShortageLog alarm;
    const auto said = alarm.look({0, 0, 0, 1}, 5);
    EXPECT_THAT(said, Optional(HasSubstr("1 chain_too_long")));
    EXPECT_THAT(said, Optional(Not(HasSubstr("0 "))));
}

}  // namespace
}  // namespace noclash::dpdk::shortage_log_test
