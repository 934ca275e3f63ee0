// SPDX-License-Identifier: Apache-2.0

// Records and names belong together: records without their names are nobody's.

#include "dpdk/state/state.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "dpdk/state/mapped_file.hpp"
#include "tests/unit/dpdk/state_directory.hpp"

namespace noclash::dpdk::state_test {
namespace {

using testing::HasSubstr;

class StateTest : public test::StateDirectory {
  protected:
    [[nodiscard]] Config config(const std::string& name = "x.state") const {
        return parse_config(fmt::format(R"(
name = "edge"
flows = 1024
[state]
file = "{}"
[[port]]
name = "lan"
device = "tap:lan0"
address = "10.1.0.1/24"
)",
                                        path(name)),
                            "edge.toml");
    }
    void leave(const std::string& name = "x.state") const {
        State state(config(name));
        nat::Identities identities;
        static_cast<void>(identities.rule("web"));
        static_cast<void>(identities.pool("one"));
        state.keep(identities, config(name));
        test::put_flow(state.records()[1], 1);
        state.alive(77);
    }
    [[nodiscard]] std::string why_lost() const {
        const State state(config());
        EXPECT_FALSE(state.adopts());
        EXPECT_EQ(state.records()[1].status.load(), FlowStatus::free);
        EXPECT_EQ(state.identities().rules().size(), 0U);
        EXPECT_FALSE(state.configuration_before());
        return state.lost();
    }
};

TEST_F(StateTest, RecordsComeWithNamesAndConfiguration) {
    leave();
    const State state(config());
    EXPECT_TRUE(state.adopts());
    EXPECT_EQ(state.path(), path());
    EXPECT_EQ(state.left_ms(), 77U);
    EXPECT_TRUE(test::is_flow(state.records()[1], 1));
    const nat::Identities identities = state.identities();
    EXPECT_EQ(identities.rules().name_of(0), "web");
    EXPECT_EQ(identities.pools().name_of(0), "one");
    const auto before = state.configuration_before();
    ASSERT_TRUE(before);
    EXPECT_EQ(before->text, config().text);
    EXPECT_EQ(before->file, "edge.toml");
}

TEST_F(StateTest, RecordsWithoutNamesAreLost) {
    leave();
    std::filesystem::remove(path("x.state.policy"));
    EXPECT_THAT(why_lost(), HasSubstr("x.state.policy"));
}

TEST_F(StateTest, NamesOfAnotherFileAreNone) {
    leave();
    leave("y.state");
    std::filesystem::rename(path("y.state.policy"), path("x.state.policy"));
    EXPECT_THAT(why_lost(), HasSubstr("another state file"));
}

TEST_F(StateTest, DamagedNamesAreNone) {
    leave();
    const std::string whole = read_replaced(path("x.state.policy"));
    for (const std::string& content :
         {whole.substr(0, whole.size() / 2), std::string(),
          std::string(whole).replace(whole.find("\"web\""), 5, "\"web\",\"web\""),
          std::string(whole).replace(whole.find("\"one\""), 5, "\"one\",\"two\"")}) {
        leave();
        // Of this very state file, but for the damage.
        const std::string now = read_replaced(path("x.state.policy"));
        const auto key = now.find("\"instance\""), old = content.find("\"instance\"");
        std::string damaged = content;
        if (old != std::string::npos)
            damaged.replace(old, content.find(']', old) - old,
                            now.substr(key, now.find(']', key) - key));
        replace_file(path("x.state.policy"), damaged);
        EXPECT_THAT(why_lost(), HasSubstr("names of its rules are lost")) << damaged;
    }
}

TEST_F(StateTest, AConfigurationThatIsNotUnderstoodIsNone) {
    leave();
    {
        State state(config());
        Config odd = config();
        odd.text = "flows = = 1";
        state.keep(state.identities(), odd);
    }
    const State state(config());
    EXPECT_TRUE(state.adopts());
    EXPECT_FALSE(state.configuration_before());
    EXPECT_EQ(state.identities().rules().name_of(0), "web");
}

}  // namespace
}  // namespace noclash::dpdk::state_test
