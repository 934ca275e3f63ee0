// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/mapped_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "engine/base/parallel.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::size_t two_megabytes = std::size_t{2} << 20U;
constexpr int populate_write = 23;  // MADV_POPULATE_WRITE, since Linux 5.14
constexpr int collapse = 25;        // MADV_COLLAPSE, since Linux 6.1
constexpr mode_t owner_only = 0600;

std::size_t round_up(std::size_t n, std::size_t page) {
    return (n + page - 1) / page * page;
}

/// A descriptor that is closed at the end.
class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    [[nodiscard]] int get() const { return number_; }

  private:
    int number_;
};

[[noreturn]] void fail(const std::string& path, const std::string& why) {
    throw std::runtime_error(fmt::format("state file {}: {}", path, why));
}

std::size_t page_of(int descriptor, const std::string& path) {
    struct statfs system {};
    if (::fstatfs(descriptor, &system) != 0) fail(path, std::strerror(errno));
    const bool huge = system.f_type == HUGETLBFS_MAGIC;
    return huge ? static_cast<std::size_t>(system.f_bsize) : 0;
}

}  // namespace

MappedFile::MappedFile(std::string path) : path_(std::move(path)) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), error);
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, owner_only);
    if (descriptor_ < 0) refuse(fmt::format("cannot be opened: {}", std::strerror(errno)));
    try {
        struct statfs system {};
        struct stat file {};
        const auto look = [&] {
            if (::fstat(descriptor_, &file) != 0) refuse(std::strerror(errno));
        };
        look();
        if (::fstatfs(descriptor_, &system) != 0) refuse(std::strerror(errno));
        if (!S_ISREG(file.st_mode)) refuse("it is no regular file");
        if (file.st_uid != ::geteuid()) refuse("it belongs to another user; remove it");
        const bool huge = system.f_type == HUGETLBFS_MAGIC;
        if (!huge && system.f_type != TMPFS_MAGIC) {
            if (file.st_size == 0) ::unlink(path_.c_str());
            refuse(
                "it lies on a disk, which would have to store each change of a flow; put it on a "
                "tmpfs or a hugetlbfs");
        }
        lock();
        look();  // again: the process that had it may have resized it meanwhile
        ::fchmod(descriptor_, owner_only);
        page_ = huge ? static_cast<std::size_t>(system.f_bsize) : two_megabytes;
        size_ = static_cast<std::size_t>(file.st_size);
    } catch (...) {
        ::close(descriptor_);
        throw;
    }
}

MappedFile::~MappedFile() {
    unmap();
    ::close(descriptor_);
}

void MappedFile::refuse(const std::string& why) const {
    fail(path_, why);
}

/// The lock ends with the process, however that ends, and tells who has it.
void MappedFile::lock() {
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(descriptor_, F_SETLK, &whole) == 0) return;
    if (errno != EAGAIN && errno != EACCES)
        refuse(fmt::format("cannot be locked: {}", std::strerror(errno)));
    const bool known = ::fcntl(descriptor_, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK &&
                       whole.l_pid > 0;  // else it is in another PID namespace, or has just ended
    refuse(fmt::format(
        "{} uses it; stop that one first, or give this instance another `name`",
        known ? fmt::format("the process with pid {}", whole.l_pid) : "another process"));
}

void MappedFile::resize(std::size_t bytes) {
    const std::size_t size = round_up(bytes, page_);
    if (size < size_ && ::ftruncate(descriptor_, static_cast<off_t>(size)) != 0)
        refuse(std::strerror(errno));
    if (size > 0) {
        const int error = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(size));
        if (error != 0) {
            refuse(fmt::format(
                "its file system has no room for {} MiB: {}; lower `flows`, make the file system "
                "larger, or reserve more huge pages",
                size >> 20U, std::strerror(error)));
        }
    }
    size_ = size;
}

void MappedFile::map() {
    unmap();
    // Huge pages need addresses that are multiples of their size.
    reserved_bytes_ = size_ + page_;
    reserved_ = ::mmap(nullptr, reserved_bytes_, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved_ == MAP_FAILED) {
        reserved_ = nullptr;
        refuse(fmt::format("cannot be mapped: {}", std::strerror(errno)));
    }
    void* const start =
        reinterpret_cast<void*>(round_up(reinterpret_cast<std::uintptr_t>(reserved_), page_));
    void* const memory =
        ::mmap(start, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor_, 0);
    if (memory == MAP_FAILED) refuse(fmt::format("cannot be mapped: {}", std::strerror(errno)));
    data_ = static_cast<std::byte*>(memory);
}

void MappedFile::populate() {
    std::atomic<int> failure{0};
    parallel_for(size_ / page_, std::max<std::size_t>(1, 32 * two_megabytes / page_),
                 [&](std::size_t begin, std::size_t end) {
                     std::byte* const first = data_ + begin * page_;
                     const std::size_t bytes = (end - begin) * page_;
                     // A kernel that does not know it brings each page in when it is first used.
                     if (::madvise(first, bytes, populate_write) != 0 && errno != EINVAL)
                         failure = errno;
                     // A tmpfs has huge pages only when its mount says so, or for the asking. Where
                     // there are none, ordinary ones serve.
                     static_cast<void>(::madvise(first, bytes, collapse));
                 });
    if (failure != 0) refuse(fmt::format("its memory cannot be had: {}", std::strerror(failure)));
}

void MappedFile::unmap() {
    if (reserved_ != nullptr) ::munmap(reserved_, reserved_bytes_);
    reserved_ = nullptr;
    data_ = nullptr;
}

void replace_file(const std::string& path, const std::string& content) {
    const std::string next = path + ".new";
    const Descriptor file(
        ::open(next.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, owner_only));
    if (file.get() < 0) fail(next, std::strerror(errno));
    const std::size_t page = std::max<std::size_t>(page_of(file.get(), next), 4096);
    const std::size_t size = round_up(content.size() + 1, page);
    const int error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(size));
    if (error != 0) fail(next, std::strerror(error));
    void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED) fail(next, std::strerror(errno));
    std::memcpy(memory, content.data(), content.size());
    ::munmap(memory, size);
    if (::rename(next.c_str(), path.c_str()) != 0) fail(path, std::strerror(errno));
}

std::string read_replaced(const std::string& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (file.get() < 0) fail(path, std::strerror(errno));
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) fail(path, std::strerror(errno));
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0) return {};
    void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED) fail(path, std::strerror(errno));
    const auto* const text = static_cast<const char*>(memory);
    std::string content(text, ::strnlen(text, size));
    ::munmap(memory, size);
    return content;
}

}  // namespace noclash::dpdk
