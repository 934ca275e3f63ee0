// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/state_place.hpp"

#include <fmt/format.h>
#include <sys/vfs.h>

#include <fstream>

#include <linux/magic.h>

#include "tests/unit/dpdk/state_directory.hpp"

namespace noclash::dpdk::state_place_test {
namespace {

constexpr std::uint64_t all = ~std::uint64_t{0};

/// A table of mounts calls a directory a hugetlbfs; how much is free, its true file system says.
class StatePlace : public test::StateDirectory {
  protected:
    void SetUp() override {
        places_ = {path("mounts"), path("run"), path("shm")};
        for (const char* name : {"huge", "run", "shm"})
            std::filesystem::create_directory(path(name));
        mount("hugetlbfs");
    }
    void mount(const std::string& type) {
        std::ofstream(path("mounts")) << fmt::format(
            "proc /proc proc rw 0 0\nnone {} {} rw,pagesize=2M 0 0\n", path("huge"), type);
    }
    void put(const std::string& name) const {
        std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
        std::ofstream(path(name)).put('x');
    }
    [[nodiscard]] std::string place(std::uint64_t bytes) const {
        return state_place("edge", bytes, places_);
    }
    StatePlaces places_;
};

TEST_F(StatePlace, HugePagesWhenEnoughAreFree) {
    EXPECT_EQ(place(1 << 20U), path("huge/noclash/edge.state"));
    EXPECT_EQ(place(all), path("run/edge.state"));
    EXPECT_EQ(place(0), path("run/edge.state")) << "none are wanted";
    mount("tmpfs");
    EXPECT_EQ(place(1 << 20U), path("run/edge.state"));
    places_.mounts = path("no such file");
    EXPECT_EQ(place(1 << 20U), path("run/edge.state"));
}

TEST_F(StatePlace, WhatIsThereIsFoundAgain) {
    put("shm/edge.state");
    EXPECT_EQ(place(1 << 20U), path("shm/edge.state")) << "though huge pages are free";
    put("run/edge.state");
    EXPECT_EQ(place(1 << 20U), path("run/edge.state"));
    put("huge/noclash/edge.state");
    EXPECT_EQ(place(all), path("huge/noclash/edge.state"));
    EXPECT_EQ(place(0), path("huge/noclash/edge.state"));
    EXPECT_EQ(state_place("other", 0, places_), path("run/other.state"));
}

TEST_F(StatePlace, ADirectoryIsNoStateFile) {
    std::filesystem::create_directory(path("shm/edge.state"));
    EXPECT_EQ(place(0), path("run/edge.state"));
}

TEST_F(StatePlace, NotInARunDirectoryOnADisk) {
    std::filesystem::remove(path("run"));
    EXPECT_EQ(place(0), path("run/edge.state")) << "it will be made";
    struct statfs system {};
    ASSERT_EQ(::statfs(".", &system), 0);
    if (system.f_type == TMPFS_MAGIC) GTEST_SKIP() << "the build directory is on a tmpfs";
    places_.run = std::filesystem::current_path() / "no" / "such";
    EXPECT_EQ(place(0), path("shm/edge.state"));
}

TEST_F(StatePlace, MemoryOfAFile) {
    EXPECT_EQ(memory_of_file(path("none")).bytes, 0U);
    std::ofstream(path("x")) << std::string(10'000, 'x');
    EXPECT_GE(memory_of_file(path("x")).bytes, 10'000U);
    EXPECT_LT(memory_of_file(path("x")).bytes, 20'000U);
    EXPECT_FALSE(memory_of_file(path("x")).huge);
}

}  // namespace
}  // namespace noclash::dpdk::state_place_test
