// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/state_transfer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "dpdk/state/state_file.hpp"
#include "dpdk/state/stream_flow.hpp"
#include "engine/base/clock.hpp"
#include "nat/packet/translation.hpp"
#include "tests/unit/dpdk/state_directory.hpp"
#include "tests/unit/dpdk/stream_samples.hpp"
#include "tools/noclashctl/state_text.hpp"

namespace noclash::dpdk::state_transfer_test {
namespace {

using test::read_stream;
using test::sample_content;
using test::source_of;
using test::StreamBytes;
using test::StreamContent;
using test::written;
using testing::HasSubstr;

constexpr std::size_t records = 1000;

/// Why something throws; empty: it does not.
template <class Act>
std::string refusal(const Act& act) {
    try {
        act();
        return "";
    } catch (const std::runtime_error& error) {
        return error.what();
    }
}

TEST(Arriving, UndoesLeaving) {
    const std::uint64_t now = 1ULL << 40U;
    for (const StreamFlow& flow : sample_content().flows) {
        StateRecord record;
        ASSERT_TRUE(arrive(flow, {now, 0}, record));
        StreamFlow again;
        ASSERT_TRUE(leave(record, {now, now}, again));
        EXPECT_EQ(again, flow);
    }
}

/// A flow of a service with a SYN proxy.
StreamFlow proxied(nat::TcpState state) {
    StreamFlow flow = sample_content().flows.front();
    flow.protocol_state = nat::TcpProgress(state).with_proxied().bits();
    flow.opening_detail = 0x73;
    flow.sequence_shift = 0xffff'fff0;
    return flow;
}

TEST(Arriving, KeepsTheShiftOfAProxiedFlow) {
    const std::uint64_t now = 1ULL << 40U;
    StreamContent content = sample_content();
    for (const nat::TcpState state : {nat::TcpState::syn_sent, nat::TcpState::established})
        content.flows.insert(content.flows.begin() + 1, proxied(state));
    const StreamContent read = read_stream(written(content));
    EXPECT_EQ(read.flows, content.flows);
    for (const StreamFlow& flow : read.flows) {
        StateRecord record;
        ASSERT_TRUE(arrive(flow, {now, 0}, record));
        StreamFlow again;
        ASSERT_TRUE(leave(record, {now, now}, again));
        EXPECT_EQ(again, flow);
    }
}

TEST(Arriving, AProxiedFlowThatWaitsIsNeverTooLate) {
    const std::uint64_t now = 1ULL << 40U;
    StreamFlow flow = proxied(nat::TcpState::syn_sent);
    flow.remaining_ms = 1000;
    StateRecord record;
    ASSERT_TRUE(arrive(flow, {now, 5000}, record));
    EXPECT_EQ(record.expires.load(), to_moment(now));
    StreamFlow again;
    ASSERT_TRUE(leave(record, {now, now + 5000}, again));
    EXPECT_EQ(again.remaining_ms, 0U);
    EXPECT_EQ(again.sequence_shift, flow.sequence_shift);
    flow.protocol_state = nat::TcpProgress(nat::TcpState::established).with_proxied().bits();
    StateRecord other;
    EXPECT_FALSE(arrive(flow, {now, 5000}, other));
}

TEST(Arriving, TakesTheTimeBetweenOff) {
    const auto flows = sample_content().flows;
    const std::uint64_t now = 5000;  // moments of before the boot wrap around
    StateRecord record;
    ASSERT_TRUE(arrive(flows[0], {now, 1000}, record));
    EXPECT_EQ(ms_between(to_moment(now), record.expires), 432'000'000 - 1000);
    EXPECT_FALSE(arrive(flows[1], {now, 120'000}, record)) << "an incarnation whose time is over";
    ASSERT_TRUE(arrive(flows[2], {now, 10'000}, record)) << "a mapping lives by its flows";
    EXPECT_EQ(ms_between(to_moment(now), record.expires), 0);
    EXPECT_EQ(ms_between(to_moment(now), record.memory[1]), -2500 - 10'000);
}

TEST(Arriving, ComputesWhatTranslationChanges) {
    const StreamFlow flow = sample_content().flows[0];
    StateRecord record;
    ASSERT_TRUE(arrive(flow, {1000, 0}, record));
    const auto changes = nat::translation(flow.tuples[0], flow.tuples[1].inverse());
    EXPECT_EQ(record.sum_changes, (std::array{changes.addresses.word(), changes.all.word()}));
}

TEST(Leaving, IsRefusedToWhatIsOver) {
    StateRecord record;
    ASSERT_TRUE(arrive(sample_content().flows[0], {1000, 0}, record));
    StreamFlow flow;
    EXPECT_TRUE(leave(record, {1000, 432'000'999}, flow));
    EXPECT_FALSE(leave(record, {1000, 432'001'000}, flow));
}

TEST(Clocks, GoOnWithoutAJump) {
    const V4Address address = V4Address::from_host(0x0a020001);
    nat::TimestampClocks<Production> before;
    nat::TimestampClocks<Production> after;
    const std::uint64_t now = 1'000'000;
    const std::uint32_t value = before.read(address, now);
    after.go_on(before.keep(now), 77, 30);  // on another machine, 30 ms later
    EXPECT_EQ(after.read(address, 77), value + 30);
    before.sent(address, value + 500, now);  // a client's clock is ahead
    after.go_on(before.keep(now), 77, 30);
    EXPECT_EQ(after.read(address, 77), value + 500);
    EXPECT_EQ(after.read(address, 77 + 470), value + 500);
    EXPECT_EQ(after.read(address, 77 + 471), value + 501);
}

TEST(PacketIds, GoOn) {
    const V4Address one = V4Address::from_host(1);
    const V4Address two = V4Address::from_host(2);
    nat::PacketIds<V4> before;
    nat::PacketIds<V4> after;
    const std::uint32_t last = before.next(one, two, 17);
    after.go_on(before.keep());
    EXPECT_EQ(after.next(one, two, 17), last + 1);
}

class StateFiles : public test::StateDirectory {
  protected:
    Transferred import(const std::string& to, const StreamBytes& bytes,
                       Replace replace = Replace::no, std::size_t size = records) const {
        return import_state(to, size, source_of(bytes), replace, [](auto, auto) {});
    }
    [[nodiscard]] StreamBytes exported(const std::string& from) const {
        StreamBytes bytes;
        StateView view(from);
        static_cast<void>(export_state(
            view,
            [&](std::span<const std::uint8_t> part) {
                bytes.insert(bytes.end(), part.begin(), part.end());
            },
            [](auto, auto) {}));
        return bytes;
    }
    /// Of now, so that nothing is over.
    static StreamContent fresh_content() {
        StreamContent content = sample_content();
        content.header.boot_id = boot_id();
        content.header.monotonic_ms = now_ms();
        return content;
    }
    [[nodiscard]] bool is_alone(const std::string& name) const {
        const auto entries = std::filesystem::directory_iterator(directory());
        return std::ranges::all_of(entries, [&](const auto& entry) {
            return entry.path().filename().string().starts_with(name);
        });
    }
};

TEST_F(StateFiles, CarryFlowsOver) {
    StreamContent content = fresh_content();
    const Transferred done = import(path(), written(content));
    EXPECT_EQ(done.carried, 4U);
    EXPECT_EQ(done.over, 0U);
    EXPECT_TRUE(StateFile(path(), records).adopts());
    StreamContent again = read_stream(exported(path()));
    ASSERT_EQ(again.flows.size(), content.flows.size());
    for (std::size_t i = 0; i < again.flows.size(); ++i) {
        EXPECT_LE(again.flows[i].remaining_ms, content.flows[i].remaining_ms);
        EXPECT_GE(again.flows[i].remaining_ms + 60'000, content.flows[i].remaining_ms);
        again.flows[i].remaining_ms = content.flows[i].remaining_ms;
        again.flows[i].memory[1] = content.flows[i].memory[1];
        EXPECT_EQ(again.flows[i], content.flows[i]);
    }
    EXPECT_EQ(again.kept.identities, content.kept.identities);
    EXPECT_EQ(again.kept.configuration, content.kept.configuration);
    EXPECT_EQ(again.clocks.packet_ids.counts, content.clocks.packet_ids.counts);
    EXPECT_TRUE(is_alone("x.state"));
}

TEST_F(StateFiles, OfAnotherBootAgeByTheWall) {
    StreamContent content = sample_content();  // of 2023
    const Transferred done = import(path(), written(content));
    EXPECT_EQ(done.carried, 2U) << "a mapping and a permission";
    EXPECT_EQ(done.over, 2U);
}

TEST_F(StateFiles, WithFlowsGiveWayOnlyWhenAsked) {
    StreamContent content = fresh_content();
    static_cast<void>(import(path(), written(content)));
    EXPECT_THAT(refusal([&] { static_cast<void>(import(path(), written(content))); }),
                HasSubstr("holds 4 flows"));
    content.flows.resize(1);
    EXPECT_EQ(import(path(), written(content), Replace::yes).carried, 1U);
    EXPECT_EQ(read_stream(exported(path())).flows.size(), 1U);
}

TEST_F(StateFiles, StayAsTheyAreWhenAStreamIsFaulty) {
    StreamContent content = fresh_content();
    StreamBytes bytes = written(content);
    bytes[bytes.size() - 100] ^= 1;
    EXPECT_THAT(refusal([&] { static_cast<void>(import(path(), bytes)); }), HasSubstr("damaged"));
    EXPECT_TRUE(std::filesystem::is_empty(directory()));
    static_cast<void>(import(path(), written(content)));
    EXPECT_THAT(refusal([&] { static_cast<void>(import(path(), bytes, Replace::yes)); }),
                HasSubstr("damaged"));
    EXPECT_EQ(read_stream(exported(path())).flows.size(), 4U);
    EXPECT_TRUE(is_alone("x.state"));
}

TEST_F(StateFiles, WithTooLittleRoomAreRefused) {
    StreamContent content = fresh_content();
    EXPECT_THAT(
        refusal([&] { static_cast<void>(import(path(), written(content), Replace::no, 4)); }),
        HasSubstr("raise it"));
    EXPECT_EQ(import(path(), written(content), Replace::no, 5).carried, 4U);
}

TEST_F(StateFiles, ThatAreNoneAreRefused) {
    std::string text(4096, 'x');
    std::filesystem::create_directory(path("directory"));
    FILE* const file = std::fopen(path().c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    StreamContent content = fresh_content();
    for (const std::string& name : {path(), path("directory")}) {
        EXPECT_NE(refusal([&] { static_cast<void>(exported(name)); }), "");
        EXPECT_NE(refusal([&] { static_cast<void>(import(name, written(content), Replace::yes)); }),
                  "");
        EXPECT_NE(refusal([&] { remove_state(name); }), "");
        EXPECT_TRUE(std::filesystem::exists(name));
    }
    EXPECT_EQ(tools::state_row(path())["kind"], "foreign");
    EXPECT_EQ(tools::state_row(path("absent"))["kind"], "none");
}

/// What another process finds while one has the file.
template <class Act>
bool another_process_finds(const Act& act) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(act() ? 0 : 1);
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_F(StateFiles, InUseAreLeftAlone) {
    StreamContent content = fresh_content();
    static_cast<void>(import(path(), written(content)));
    const pid_t me = ::getpid();
    const std::string pid = std::to_string(me);
    const StateFile mine(path(), records);
    EXPECT_TRUE(another_process_finds([&] {
        const auto names_me = [&](const std::string& why) {
            return why.find("pid " + pid) != std::string::npos;
        };
        return names_me(refusal([&] { static_cast<void>(exported(path())); })) &&
               names_me(refusal([&] { remove_state(path()); })) && names_me(refusal([&] {
                   static_cast<void>(import(path(), written(content), Replace::yes));
               }));
    }));
    EXPECT_TRUE(another_process_finds([&] {
        const auto row = tools::state_row(path());
        return row["in_use"] == true && row["pid"] == me && row["kind"] == "adoptable";
    }));
}

TEST_F(StateFiles, AreShown) {
    StreamContent content = fresh_content();
    static_cast<void>(import(path(), written(content)));
    const auto row = tools::state_row(path());
    EXPECT_EQ(row["flows"], 1);
    EXPECT_EQ(row["mappings"], 1);
    EXPECT_EQ(row["permissions"], 1);
    EXPECT_EQ(row["incarnations"], 1);
    EXPECT_EQ(row["records"], records);
    EXPECT_EQ(row["statuses"]["live"], 3);
    EXPECT_EQ(row["statuses"]["ending"], 1);
    EXPECT_EQ(row["statuses"]["free"], records - 4);
    EXPECT_EQ(row["in_use"], false);
    EXPECT_THAT(tools::state_text(row), HasSubstr("1, and 1 mappings, 1 permissions"));
    remove_state(path());
    EXPECT_TRUE(std::filesystem::is_empty(directory()));
}

}  // namespace
}  // namespace noclash::dpdk::state_transfer_test
