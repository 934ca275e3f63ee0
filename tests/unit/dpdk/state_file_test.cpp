// SPDX-License-Identifier: Apache-2.0

// What a process finds of the one before it.

#include "dpdk/state/state_file.hpp"

#include <gmock/gmock.h>

#include <cstring>
#include <fstream>

#include "dpdk/config/version.hpp"
#include "engine/base/clock.hpp"
#include "tests/unit/dpdk/state_directory.hpp"

namespace noclash::dpdk::state_file_test {
namespace {

using test::is_flow, test::put_flow, test::refusal;
using testing::HasSubstr;

constexpr std::size_t few = 3000, many = 70'000;

class StateFileTest : public test::StateDirectory {
  protected:
    /// One that some process has left, with flows 1 to 100.
    void leave(std::size_t records = few) {
        StateFile file(path(), records);
        for (std::uint16_t i = 1; i <= 100; ++i)
            put_flow(file.records()[i], i);
        file.alive(12'345);
    }
    /// Changes the header of what is left.
    template <class Change>
    void change_header(const Change& change) {
        MappedFile file(path());
        file.map();
        change(*reinterpret_cast<StateHeader*>(file.data()));
    }
    static std::size_t flows_in(const StateFile& file, std::size_t records) {
        std::size_t found = 0;
        for (std::size_t i = 0; i < records; ++i)
            found += file.records()[i].status.load() != FlowStatus::free ? 1U : 0U;
        return found;
    }
    [[nodiscard]] std::string why_lost() const {
        const StateFile file(path(), few);
        EXPECT_FALSE(file.adopts());
        EXPECT_EQ(flows_in(file, few), 0U);
        return file.lost();
    }
};

TEST_F(StateFileTest, AFreshOneIsEmpty) {
    const std::uint64_t before_ms = now_ms();
    StateFile file(path(), few);
    EXPECT_FALSE(file.adopts());
    EXPECT_EQ(file.lost(), "");
    EXPECT_EQ(file.left_ms(), 0U);
    EXPECT_EQ(flows_in(file, few), 0U);
    MappedFile same(path());  // the same process may
    same.map();
    const auto& header = *reinterpret_cast<const StateHeader*>(same.data());
    EXPECT_EQ(kind_of(header, same.size()), StateKind::adoptable);
    EXPECT_EQ(text_of(header.release), noclash_version);
    EXPECT_EQ(header.records, few);
    EXPECT_GE(header.alive_ms.load(), before_ms);
    EXPECT_EQ(header.instance, file.instance());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.records()) % alignof(StateRecord), 0U);
}

TEST_F(StateFileTest, WhatWasLeftIsThere) {
    leave();
    std::array<std::uint64_t, 2> instance{};
    {
        StateFile file(path(), few);
        EXPECT_TRUE(file.adopts());
        EXPECT_EQ(file.lost(), "");
        EXPECT_EQ(file.left_ms(), 12'345U);
        for (std::uint16_t i = 1; i <= 100; ++i)
            EXPECT_TRUE(is_flow(file.records()[i], i));
        EXPECT_EQ(flows_in(file, few), 100U);
        instance = file.instance();
        file.begin_anew("for a test");
        EXPECT_FALSE(file.adopts());
        EXPECT_EQ(file.lost(), "for a test");
        EXPECT_EQ(flows_in(file, few), 0U);
        EXPECT_NE(file.instance(), instance) << "names of before do not belong to it";
    }
    EXPECT_TRUE(StateFile(path(), few).adopts());
}

TEST_F(StateFileTest, ForeignFilesAreLeftAlone) {
    std::ofstream(path()) << "a letter";
    EXPECT_THAT(refusal([&] { StateFile(path(), few); }), HasSubstr("no state file of noclash"));
    EXPECT_EQ(std::filesystem::file_size(path()), 8U);
    std::ofstream(path()) << std::string(3U << 20U, 'x');
    EXPECT_THAT(refusal([&] { StateFile(path(), few); }), HasSubstr("no state file of noclash"));
    EXPECT_EQ(std::filesystem::file_size(path()), 3U << 20U);
}

TEST_F(StateFileTest, AnotherLayoutIsRefusedWithItsRelease) {
    const std::vector<void (*)(StateHeader&)> changes{
        [](StateHeader& header) { ++header.layout_version; },
        [](StateHeader& header) { ++header.header_bytes; },
        [](StateHeader& header) { header.layout_hash ^= 1U; }};
    for (const auto& change : changes) {
        leave();
        change_header([&](StateHeader& header) {
            change(header);
            header.release = {'9', '.', '8', '.', '7'};
        });
        EXPECT_THAT(refusal([&] { StateFile(path(), few); }), HasSubstr("noclash 9.8.7,"));
        EXPECT_THAT(refusal([&] { StateFile(path(), few); }), HasSubstr("noclash 9.8.7,"))
            << "nothing was changed";
        std::filesystem::remove(path());
    }
}

TEST_F(StateFileTest, FlowsOfAnotherBootAreLost) {
    leave();
    change_header([](StateHeader& header) { header.boot_id[0] ^= 1; });
    EXPECT_THAT(why_lost(), HasSubstr("before the machine was started"));
    EXPECT_TRUE(StateFile(path(), few).adopts()) << "it has been made anew";
}

TEST_F(StateFileTest, ADamagedOneIsLost) {
    for (const std::uint64_t says : {std::uint64_t{0}, std::uint64_t{many}, ~std::uint64_t{0}}) {
        leave();
        change_header([&](StateHeader& header) { header.records = says; });
        EXPECT_THAT(why_lost(), HasSubstr("shorter than it says"));
    }
    leave(many);
    std::filesystem::resize_file(path(), state_bytes(many) - 1);
    EXPECT_THAT(why_lost(), HasSubstr("shorter than it says"));
}

TEST_F(StateFileTest, AnUnfinishedOneIsNothing) {
    leave();
    change_header([](StateHeader& header) { header.magic = {}; });
    EXPECT_EQ(why_lost(), "");
    std::filesystem::resize_file(path(), 0);
    EXPECT_EQ(why_lost(), "");
}

TEST_F(StateFileTest, KindsByHeaderAlone) {
    StateHeader header{};
    EXPECT_EQ(kind_of(header, 0), StateKind::unfinished);
    EXPECT_EQ(kind_of(header, 100), StateKind::foreign);
    EXPECT_EQ(kind_of(header, state_bytes(few)), StateKind::unfinished);
    header.magic = state_magic;
    EXPECT_EQ(kind_of(header, state_bytes(few)), StateKind::other_layout);
}

TEST_F(StateFileTest, GrowsWithItsRecords) {
    leave(few);
    const StateFile file(path(), many);
    EXPECT_TRUE(file.adopts());
    EXPECT_EQ(flows_in(file, many), 100U);
    for (std::uint16_t i = 1; i <= 100; ++i)
        EXPECT_TRUE(is_flow(file.records()[i], i));
    EXPECT_GE(std::filesystem::file_size(path()), state_bytes(many));
}

TEST_F(StateFileTest, ShrinksWithItsRecords) {
    {
        StateFile file(path(), many);
        for (std::uint16_t i = 0; i < 2000; ++i)
            put_flow(file.records()[many - 1 - std::size_t{i} * 30], i);
    }
    StateFile file(path(), few);
    EXPECT_TRUE(file.adopts());
    EXPECT_LT(std::filesystem::file_size(path()), state_bytes(many) / 2);
    std::vector<bool> seen(2000);
    for (std::size_t i = 1; i < few; ++i) {
        const StateRecord& record = file.records()[i];
        if (record.status.load() != FlowStatus::live) continue;
        EXPECT_TRUE(is_flow(record, record.rule));
        EXPECT_FALSE(seen[record.rule]) << "twice";
        seen[record.rule] = true;
    }
    EXPECT_EQ(std::ranges::count(seen, true), 2000);
}

TEST_F(StateFileTest, MoreFlowsThanRoomAreRefusedAndNotLost) {
    {
        StateFile file(path(), many);
        for (std::size_t i = 0; i < few; ++i)  // one more than there is room for: record 0 is none
            put_flow(file.records()[many - few + i], static_cast<std::uint16_t>(i));
    }
    EXPECT_THAT(refusal([&] { StateFile(path(), few); }), HasSubstr("raise `flows`"));
    {
        const StateFile file(path(), many);
        EXPECT_TRUE(file.adopts());
        EXPECT_EQ(flows_in(file, many), few);
    }
    const StateFile file(path(), few + 1);
    EXPECT_EQ(flows_in(file, few + 1), few);
}

}  // namespace
}  // namespace noclash::dpdk::state_file_test
