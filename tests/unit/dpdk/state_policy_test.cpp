// SPDX-License-Identifier: Apache-2.0

// The names that records refer to, kept beside them.

#include "dpdk/state/kept_policy.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "dpdk/state/mapped_file.hpp"
#include "tests/unit/dpdk/state_directory.hpp"

namespace noclash::dpdk::state_policy_test {
namespace {

using test::refusal;
using testing::HasSubstr;

KeptPolicy example() {
    return {{0xfedcba9876543210, 7},
            {{"web", "", "out"}, {"one", "two"}, {{1, ~std::uint64_t{0}}, {3, 4}}, {5, 6}},
            "/etc/noclash/ex\u00e4mple.toml",
            "name = \"x\"\n# \"quoted\"\t\u20ac\n",
            R"({"services":[],"backends":[]})"};
}

class StatePolicy : public test::StateDirectory {
  protected:
    [[nodiscard]] std::string damage(const std::string& content) const {
        replace_file(path(), content);
        return refusal([&] { static_cast<void>(read_kept_policy(path())); });
    }
};

TEST_F(StatePolicy, IsReadAsItWasWritten) {
    const KeptPolicy policy = example();
    write_kept_policy(path(), policy);
    const KeptPolicy read = read_kept_policy(path());
    EXPECT_EQ(read.instance, policy.instance);
    EXPECT_EQ(read.identities, policy.identities);
    EXPECT_EQ(read.services, policy.services);
    EXPECT_EQ(read.configuration_file, policy.configuration_file);
    EXPECT_EQ(read.configuration, policy.configuration);
}

TEST_F(StatePolicy, EachDamageIsNamedWithTheFile) {
    EXPECT_THAT(refusal([&] { static_cast<void>(read_kept_policy(path())); }), HasSubstr(path()))
        << "none is there";
    EXPECT_THAT(damage(""), HasSubstr(path()));
    EXPECT_THAT(damage("[]"), HasSubstr(path()));
    EXPECT_THAT(damage(std::string(100'000, '[')), HasSubstr(path()));
    write_kept_policy(path(), example());
    const std::string whole = read_replaced(path());
    for (std::size_t length = 0; length < whole.size(); ++length)
        ASSERT_THAT(damage(whole.substr(0, length)), HasSubstr(path())) << length;
    EXPECT_EQ(damage(whole), "");
}

TEST_F(StatePolicy, EachKeyIsNeededAndHasItsType) {
    write_kept_policy(path(), example());
    const auto whole = nlohmann::json::parse(read_replaced(path()));
    for (const auto& [key, value] : whole.items()) {
        nlohmann::json without = whole;
        without.erase(key);
        // Releases before services knew nothing of them.
        const bool is_needed = key != "services" && key != "service_key";
        EXPECT_EQ(damage(without.dump()).find(path()) != std::string::npos, is_needed) << key;
        nlohmann::json other = whole;
        other[key] = value.is_string() ? nlohmann::json(3) : nlohmann::json("text");
        EXPECT_THAT(damage(other.dump()), HasSubstr(path())) << key;
    }
    nlohmann::json later = whole;
    later["format"] = 2;
    EXPECT_THAT(damage(later.dump()), HasSubstr(path()));
    nlohmann::json half = whole;
    half["pairing_keys"][0] = {1};
    EXPECT_THAT(damage(half.dump()), HasSubstr(path()));
}

// A path is bytes, and JSON is text.
TEST_F(StatePolicy, AnyPathOfAConfigurationCanBeKept) {
    KeptPolicy policy = example();
    policy.configuration_file = "/etc/\xff.toml";
    write_kept_policy(path(), policy);
    EXPECT_EQ(read_kept_policy(path()).identities, policy.identities);
}

TEST(IdentitiesTest, FromATableAndBack) {
    nat::Identities first;
    const nat::RuleId web = first.rule("web");
    const nat::RuleId gone = first.rule("gone");
    const nat::RuleId out = first.rule("out");
    const nat::PoolId one = first.pool("one");
    static_cast<void>(first.give_back({true, false, true}, {true}));
    nat::Identities next(first.table());
    EXPECT_EQ(next.table(), first.table());
    EXPECT_EQ(next.rule("out"), out);
    EXPECT_EQ(next.rule("new"), gone) << "a number that nobody has";
    EXPECT_EQ(next.rule("web"), web);
    EXPECT_EQ(next.rule("newer"), 3);
    EXPECT_EQ(next.pool("one"), one);
    EXPECT_EQ(next.pairing_of(one).key(), first.pairing_of(one).key());
}

TEST(IdentitiesTest, NoNameTwiceAndAKeyForEachPool) {
    const auto refused = [](nat::IdentityTable table) {
        return refusal([&] { const nat::Identities made(std::move(table)); });
    };
    EXPECT_THAT(refused({{"a", "b", "a"}, {}, {}}), HasSubstr("the name a"));
    EXPECT_THAT(refused({{}, {"p", "p"}, {{}, {}}}), HasSubstr("the name p"));
    EXPECT_NE(refused({{}, {"p"}, {}}), "");
    EXPECT_NE(refused({{}, {}, {{}}}), "");
    EXPECT_NE(refused({std::vector<std::string>(65537), {}, {}}), "");
    EXPECT_EQ(refused({{"", "a", "", ""}, {"a"}, {{}}}), "");
}

}  // namespace
}  // namespace noclash::dpdk::state_policy_test
