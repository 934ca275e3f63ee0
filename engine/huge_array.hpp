// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

namespace noclash {

/// A fixed array in memory of its own, laid out and touched at once (invariant 7: no page fault
/// later), on transparent huge pages where the kernel grants them: a random access into a large
/// table then costs one cache miss and no page walk.
template <class T>
class HugeArray {
  public:
    explicit HugeArray(std::size_t size) : size_(size), bytes_(round_up(size * sizeof(T))) {
        // One huge page more than needed, so that the array can start on a huge-page boundary.
        void* memory = ::mmap(nullptr, bytes_ + huge_page, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        mapping_ = memory;
        std::size_t space = bytes_ + huge_page;
        data_ = static_cast<T*>(std::align(huge_page, bytes_, memory, space));
        // Advice: where the kernel has no transparent huge pages, ordinary ones serve.
        static_cast<void>(::madvise(data_, bytes_, MADV_HUGEPAGE));
        tbb::parallel_for(tbb::blocked_range<std::size_t>(0, size_, huge_page / sizeof(T) + 1),
                          [this](const tbb::blocked_range<std::size_t>& range) {
                              for (std::size_t i = range.begin(); i != range.end(); ++i)
                                  new (data_ + i) T();
                          });
    }
    ~HugeArray() {
        static_assert(std::is_trivially_destructible_v<T>);
        ::munmap(mapping_, bytes_ + huge_page);
    }
    HugeArray(const HugeArray&) = delete;
    HugeArray& operator=(const HugeArray&) = delete;

    [[nodiscard]] T& operator[](std::size_t i) { return data_[i]; }
    [[nodiscard]] const T& operator[](std::size_t i) const { return data_[i]; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::size_t bytes() const { return bytes_; }

  private:
    static constexpr std::size_t huge_page = std::size_t{2} << 20;
    static constexpr std::size_t round_up(std::size_t n) {
        return (n + huge_page - 1) / huge_page * huge_page;
    }

    std::size_t size_;
    std::size_t bytes_;
    void* mapping_ = nullptr;
    T* data_ = nullptr;
};

}  // namespace noclash
