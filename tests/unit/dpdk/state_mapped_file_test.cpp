// SPDX-License-Identifier: Apache-2.0

// Whose a file in memory is, and where it may lie.

#include "dpdk/state/mapped_file.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <fstream>

#include <linux/magic.h>

#include "tests/unit/dpdk/state_directory.hpp"

namespace noclash::dpdk::mapped_file_test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
constexpr std::size_t two_megabytes = std::size_t{2} << 20U;

class MappedFileTest : public test::StateDirectory {
  protected:
    [[nodiscard]] std::string refusal(const std::string& path) const {
        return test::refusal([&] { const MappedFile file(path); });
    }
    static mode_t mode(const std::string& path) {
        struct stat status {};
        EXPECT_EQ(::stat(path.c_str(), &status), 0);
        return status.st_mode & 07777U;
    }
};

TEST_F(MappedFileTest, IsMadeWithItsDirectory) {
    const MappedFile file(path("a/b/x.state"));
    EXPECT_EQ(file.size(), 0U);
    EXPECT_EQ(file.page(), two_megabytes);
    EXPECT_TRUE(std::filesystem::is_regular_file(path("a/b/x.state")));
}

TEST_F(MappedFileTest, HasZerosAndKeepsWhatIsWritten) {
    {
        MappedFile file(path());
        file.resize(3);
        file.map();
        file.populate();
        EXPECT_EQ(file.size(), two_megabytes) << "whole pages";
        EXPECT_TRUE(std::all_of(file.data(), file.data() + file.size(),
                                [](std::byte byte) { return byte == std::byte{0}; }));
        file.data()[two_megabytes - 1] = std::byte{7};
        file.resize(2 * two_megabytes);
        file.map();
        EXPECT_EQ(file.data()[two_megabytes - 1], std::byte{7});
        EXPECT_EQ(file.data()[two_megabytes], std::byte{0});
    }
    MappedFile again(path());
    EXPECT_EQ(again.size(), 2 * two_megabytes);
    again.map();
    EXPECT_EQ(again.data()[two_megabytes - 1], std::byte{7});
}

// Addresses of whom talks with whom are nobody else's business.
TEST_F(MappedFileTest, OnlyItsOwnerReadsIt) {
    { const MappedFile file(path()); }
    EXPECT_EQ(mode(path()), 0600U);
    ASSERT_EQ(::chmod(path().c_str(), 0666), 0);
    { const MappedFile file(path()); }
    EXPECT_EQ(mode(path()), 0600U);
    replace_file(path("text"), "names");
    EXPECT_EQ(mode(path("text")), 0600U);
}

TEST_F(MappedFileTest, WhatIsNoFileIsRefused) {
    std::filesystem::create_directory(path("directory"));
    ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
    std::ofstream(path("file")).put('x');
    std::filesystem::create_symlink(path("file"), path("link"));
    for (const char* name : {"directory", "fifo", "link"})
        EXPECT_THAT(refusal(path(name)), StartsWith("state file " + path(name) + ": ")) << name;
    EXPECT_THAT(refusal(path("fifo")), HasSubstr("no regular file"));
    EXPECT_EQ(std::filesystem::file_size(path("file")), 1U) << "behind the link";
}

TEST_F(MappedFileTest, FilesOfOthersAreRefused) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root makes files of others";
    std::ofstream(path()).put('x');
    ASSERT_EQ(::chown(path().c_str(), 65534, 65534), 0);
    EXPECT_THAT(refusal(path()), HasSubstr("belongs to another user"));
}

TEST_F(MappedFileTest, OneProcessAtATime) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    test::Child other([&] {
        const MappedFile file(path());
        [[maybe_unused]] const auto written = ::write(ready[1], "x", 1);
        for (;;)
            ::pause();
    });
    ::close(ready[1]);
    char byte = 0;
    ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    EXPECT_THAT(refusal(path()), HasSubstr(fmt::format("pid {} uses it", other.pid())));
    other.kill();
    EXPECT_EQ(refusal(path()), "") << "the lock ends with its process";
}

// Tests run in the build directory.
TEST_F(MappedFileTest, NoDiskWritesEachChange) {
    struct statfs system {};
    ASSERT_EQ(::statfs(".", &system), 0);
    if (system.f_type == TMPFS_MAGIC) GTEST_SKIP() << "the build directory is on a tmpfs";
    const std::string name =
        std::filesystem::current_path() / fmt::format("state_test_{}.state", ::getpid());
    EXPECT_THAT(refusal(name), HasSubstr("on a disk"));
    EXPECT_FALSE(std::filesystem::exists(name)) << "nothing is left";
    std::ofstream(name) << "of somebody";
    EXPECT_THAT(refusal(name), HasSubstr("on a disk"));
    EXPECT_TRUE(std::filesystem::remove(name)) << "but what was there before";
}

TEST_F(MappedFileTest, TooLittleMemoryIsSaid) {
    MappedFile file(path());
    file.resize(two_megabytes);
    const std::string said = test::refusal([&] { file.resize(std::size_t{1} << 50U); });
    EXPECT_THAT(said, HasSubstr("lower `flows`"));
    EXPECT_EQ(std::filesystem::file_size(path()), two_megabytes);
}

TEST_F(MappedFileTest, AReplacedFileHasItsNewContent) {
    replace_file(path("text"), std::string(10'000, 'a'));
    EXPECT_EQ(read_replaced(path("text")), std::string(10'000, 'a'));
    replace_file(path("text"), "b");
    EXPECT_EQ(read_replaced(path("text")), "b");
    replace_file(path("text"), "");
    EXPECT_EQ(read_replaced(path("text")), "");
    // A whole page has no room for the NUL at its end.
    replace_file(path("text"), std::string(4096, 'c'));
    EXPECT_EQ(read_replaced(path("text")), std::string(4096, 'c'));
    EXPECT_THAT(test::refusal([&] { static_cast<void>(read_replaced(path("none"))); }),
                HasSubstr(path("none")));
}

TEST_F(MappedFileTest, AReplacedFileIsOldOrNew) {
    const std::string one(100'000, 'a'), other(9'000, 'b');
    replace_file(path("text"), one);
    for (useconds_t wait_us = 0; wait_us < 4000; wait_us += 100) {
        test::Child child([&] {
            for (;;) {
                replace_file(path("text"), other);
                replace_file(path("text"), one);
            }
        });
        ::usleep(wait_us);
        const std::string meanwhile = read_replaced(path("text"));
        EXPECT_TRUE(meanwhile == one || meanwhile == other);
        ASSERT_TRUE(WIFSIGNALED(child.kill()));
        const std::string left = read_replaced(path("text"));
        EXPECT_TRUE(left == one || left == other);
    }
}

}  // namespace
}  // namespace noclash::dpdk::mapped_file_test
