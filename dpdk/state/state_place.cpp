// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/state_place.hpp"

#include <linux/magic.h>
#include <mntent.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

namespace noclash::dpdk {

namespace {

using std::string_view_literals::operator""sv;

bool is_there(const std::string& path) {
    struct stat file {};
    return ::stat(path.c_str(), &file) == 0 && S_ISREG(file.st_mode);
}

/// Directories of file systems on reserved huge pages.
std::vector<std::string> huge_mounts(const std::string& mounts) {
    std::vector<std::string> found;
    const std::unique_ptr<FILE, int (*)(FILE*)> table(::setmntent(mounts.c_str(), "re"),
                                                      ::endmntent);
    if (!table) return found;
    while (const mntent* mount = ::getmntent(table.get()))
        if (mount->mnt_type == "hugetlbfs"sv && ::access(mount->mnt_dir, W_OK) == 0)
            found.emplace_back(mount->mnt_dir);
    return found;
}

/// Of a hugetlbfs: its mount's limit, or the free pages of the machine.
std::uint64_t free_bytes(const std::string& directory) {
    struct statfs system {};
    if (::statfs(directory.c_str(), &system) != 0) return 0;
    return static_cast<std::uint64_t>(system.f_bfree) * static_cast<std::uint64_t>(system.f_bsize);
}

/// The file system of a directory, which need not be there yet.
bool is_in_memory(std::filesystem::path directory) {
    std::error_code error;
    while (!std::filesystem::exists(directory, error) && directory.has_relative_path())
        directory = directory.parent_path();
    struct statfs system {};
    return ::statfs(directory.c_str(), &system) == 0 && system.f_type == TMPFS_MAGIC;
}

}  // namespace

std::string state_place(const std::string& name, std::uint64_t bytes, const StatePlaces& places) {
    const std::string file = "/" + name + ".state";
    const std::vector<std::string> huge = huge_mounts(places.mounts);
    for (const std::string& mount : huge)
        if (is_there(mount + "/noclash" + file)) return mount + "/noclash" + file;
    for (const std::string& directory : {places.run, places.shared_memory})
        if (is_there(directory + file)) return directory + file;
    for (const std::string& mount : huge)
        if (bytes > 0 && free_bytes(mount) >= bytes) return mount + "/noclash" + file;
    return (is_in_memory(places.run) ? places.run : places.shared_memory) + file;
}

MemoryOfFile memory_of_file(const std::string& path) {
    struct stat file {};
    struct statfs system {};
    if (::stat(path.c_str(), &file) != 0 || ::statfs(path.c_str(), &system) != 0) return {};
    constexpr std::uint64_t block = 512;
    return {static_cast<std::uint64_t>(file.st_blocks) * block, system.f_type == HUGETLBFS_MAGIC};
}

}  // namespace noclash::dpdk
