// SPDX-License-Identifier: Apache-2.0

// The file as a whole: examples, files that cannot be read, and the order of faults.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "dpdk/config/config.hpp"
#include "tests/unit/dpdk/faults_of.hpp"

namespace noclash::dpdk::config_file_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Config, EveryExampleLoads) {
    std::size_t examples = 0;
    for (const auto& entry : std::filesystem::directory_iterator(NOCLASH_EXAMPLES)) {
        if (entry.path().extension() != ".toml") continue;
        EXPECT_NO_THROW(static_cast<void>(load_config(entry.path()))) << entry.path();
        ++examples;
    }
    EXPECT_GE(examples, 5U);
}

TEST(Config, NamesAFileThatCannotBeRead) {
    EXPECT_THAT(faults_of_reading([] { return load_config("/nowhere/gateway.toml"); }),
                ElementsAre(StartsWith("/nowhere/gateway.toml: cannot be read: No such file")));
    EXPECT_THAT(faults_of_reading([] { return load_config("/"); }),
                ElementsAre(HasSubstr("directory")));
}

TEST(Config, ReportsAllFaultsInTheOrderOfTheFile) {
    const std::string text =
        "workers = 0\nflow = 2\n[[port]]\nname = \"a\"\n[[rule]]\naction = \"x\"\n";
    EXPECT_THAT(faults_of(text),
                ElementsAre(StartsWith("f:1:11: workers: 0 is out of range"),
                            StartsWith("f:2:1: flow: unknown key; did you mean `flows`?"),
                            StartsWith("f:3:1: [port \"a\"] device: is missing"),
                            StartsWith("f:3:1: [port \"a\"] address: is missing"),
                            StartsWith("f:5:1: [rule #1] name: is missing"),
                            StartsWith("f:6:10: [rule #1] action: \"x\" is not known")));
}

}  // namespace
}  // namespace noclash::dpdk::config_file_test
