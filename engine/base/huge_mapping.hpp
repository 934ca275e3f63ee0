// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace noclash {

/// Whether tables use the huge pages that the administrator has reserved (`vm.nr_hugepages`).
enum class ReservedPages : std::uint8_t {
    leave,  ///< for others
    take,   ///< as long as there are enough for a whole table
};

/// Memory of its own for one table, from the kernel, on the largest pages to be had: reserved ones
/// of 1 GiB, reserved ones of 2 MiB (both only with `ReservedPages::take`), transparent huge pages,
/// ordinary ones. Reserved pages are all there when the constructor returns, so that a limit (of a
/// cgroup, of a NUMA node) shows here, where the next kind can serve, and not as SIGBUS later.
class HugeMapping {
  public:
    static constexpr std::size_t gigabyte = std::size_t{1} << 30, two_megabytes = gigabyte >> 9;

    /// @throws std::bad_alloc
    explicit HugeMapping(std::size_t bytes) {
        if (reserved() == ReservedPages::take) {
            for (const std::size_t page : {gigabyte, two_megabytes})
                if (map_reserved(bytes, page)) return;
        }
        map_transparent(bytes);
    }
    HugeMapping(const HugeMapping&) = delete;
    HugeMapping& operator=(const HugeMapping&) = delete;
    ~HugeMapping() { ::munmap(mapping_, mapped_); }

    /// The bytes of memory that a mapping of `bytes` takes: whole pages.
    [[nodiscard]] static constexpr std::size_t bytes_for(std::size_t bytes) {
        return round_up(bytes, two_megabytes);
    }

    /// Zeros, at a boundary of 2 MiB.
    [[nodiscard]] void* data() const { return data_; }
    /// At least what was asked for; whole pages.
    [[nodiscard]] std::size_t bytes() const { return bytes_; }

    /// For all mappings made from now on in this process. At first reserved pages are left alone.
    static void use_reserved(ReservedPages use) { setting().store(use, std::memory_order_relaxed); }
    [[nodiscard]] static ReservedPages reserved() {
        return setting().load(std::memory_order_relaxed);
    }

  private:
    static std::atomic<ReservedPages>& setting() {
        static std::atomic<ReservedPages> use{ReservedPages::leave};
        return use;
    }
    static constexpr std::size_t round_up(std::size_t n, std::size_t page) {
        return (n + page - 1) / page * page;
    }

    bool map_reserved(std::size_t bytes, std::size_t page) {
        bytes_ = round_up(bytes, page);
        if (bytes_ / 2 > bytes) return false;  // more than half of it would stay empty
        constexpr int size_shift = 26;         // MAP_HUGE_SHIFT
        const int size = (page == gigabyte ? 30 : 21) << size_shift;
        // Without MAP_NORESERVE: a lack of pages has to show now, not at a later access.
        void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | size, -1, 0);
        if (memory == MAP_FAILED) return false;
        constexpr int populate_write = 23;  // MADV_POPULATE_WRITE, since Linux 5.14
        if (::madvise(memory, bytes_, populate_write) != 0) {
            ::munmap(memory, bytes_);
            return false;
        }
        mapping_ = data_ = memory;
        mapped_ = bytes_;
        return true;
    }

    void map_transparent(std::size_t bytes) {
        bytes_ = round_up(bytes, two_megabytes);
        // One huge page more than needed, to begin where a huge page can.
        mapped_ = bytes_ + two_megabytes;
        mapping_ = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapping_ == MAP_FAILED) throw std::bad_alloc();
        std::size_t space = mapped_;
        data_ = mapping_;
        std::align(two_megabytes, bytes_, data_, space);
        // Advice: where the kernel has no transparent huge pages, ordinary ones serve.
        static_cast<void>(::madvise(data_, bytes_, MADV_HUGEPAGE));
    }

    std::size_t bytes_ = 0;
    std::size_t mapped_ = 0;
    void* mapping_ = nullptr;
    void* data_ = nullptr;
};

}  // namespace noclash
