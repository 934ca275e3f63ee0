// SPDX-License-Identifier: Apache-2.0

// A process is killed while its file grows or shrinks: no flow is lost, and the header never says
// more than the file has.

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "dpdk/state/state_file.hpp"
#include "tests/unit/dpdk/state_directory.hpp"

namespace noclash::dpdk::state_resize_kill_test {
namespace {

using test::is_flow, test::put_flow;

constexpr std::size_t few = 5000, many = 40'000;
constexpr std::uint16_t flows = 1000;

class StateResizeKill : public test::StateDirectory {
  protected:
    void SetUp() override {
        StateFile file(path(), many);
        for (std::uint16_t i = 0; i < flows; ++i)
            put_flow(file.records()[1 + std::size_t{i} * 39], i);
    }
    /// What a process sees that opens the file.
    void expect_whole() {
        {
            MappedFile file(path());
            file.map();
            const auto& header = *reinterpret_cast<const StateHeader*>(file.data());
            ASSERT_EQ(kind_of(header, file.size()), StateKind::adoptable);
            ASSERT_LE(state_bytes(header.records), file.size());
        }
        const StateFile file(path(), many);
        ASSERT_TRUE(file.adopts());
        std::multiset<std::uint16_t> found;
        for (std::size_t i = 0; i < many; ++i) {
            const StateRecord& record = file.records()[i];
            if (record.status.load() == FlowStatus::free) continue;
            ASSERT_TRUE(is_flow(record, record.rule));
            found.insert(record.rule);
        }
        // One may be there twice, as a copy of itself: of two owners the index refuses one.
        ASSERT_LE(found.size(), flows + 1U);
        const std::set<std::uint16_t> once(found.begin(), found.end());
        ASSERT_EQ(once.size(), flows);
        if (found.size() > flows) ++copies_;
    }
    int copies_ = 0;
};

TEST_F(StateResizeKill, AtAnyMoment) {
    for (useconds_t turn = 0; turn < 100; ++turn) {
        test::Child child([&] {
            for (;;) {
                { const StateFile file(path(), few); }
                { const StateFile file(path(), many); }
            }
        });
        ::usleep(1000 + turn * 197);
        ASSERT_TRUE(WIFSIGNALED(child.kill())) << "it refused its own file";
        expect_whole();
        if (HasFatalFailure()) return;
        // Who has a copy is not to have two in the next turn.
        if (copies_ != 0) {
            copies_ = 0;
            std::filesystem::remove(path());
            SetUp();
        }
    }
}

// The header says less already, the file is as long as before; what lies behind is not to come
// back.
TEST_F(StateResizeKill, BeforeTheFileIsCut) {
    { const StateFile file(path(), few); }
    std::filesystem::resize_file(path(), state_bytes(many));
    {
        MappedFile file(path());
        file.map();
        auto* const records = reinterpret_cast<StateRecord*>(file.data() + state_records_at);
        for (std::size_t i = few; i < many; i += 7)
            put_flow(records[i], 9999);
    }
    expect_whole();
}

// It has grown, and the header does not say so yet.
TEST_F(StateResizeKill, BeforeTheHeaderSaysMore) {
    { const StateFile file(path(), few); }
    std::filesystem::resize_file(path(), state_bytes(2 * many));
    expect_whole();
}

}  // namespace
}  // namespace noclash::dpdk::state_resize_kill_test
