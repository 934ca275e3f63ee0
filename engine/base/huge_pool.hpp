// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/base/huge_mapping.hpp"

namespace noclash {

/// Memory in pieces of some bytes up to some hundred KiB that workers read at random: side by side
/// on huge pages, so that no read waits for an address to be translated. What is given back serves
/// others of its size, and goes back to the kernel with the pool. Any thread may ask; none of them
/// a worker, for there is a lock.
class HugePool : public std::pmr::memory_resource {
  public:
    static constexpr std::size_t chunk_bytes = 2 * HugeMapping::two_megabytes;

    /// What a piece takes: so that there are eight sizes from one power of two to the next.
    [[nodiscard]] static constexpr std::size_t bytes_for(std::size_t bytes) {
        const std::size_t step = std::max<std::size_t>(std::bit_floor(bytes) / 8, 16);
        return (bytes + step - 1) / step * step;
    }

  private:
    using Kind = std::pair<std::size_t, std::size_t>;  // bytes and alignment

    /// @throws std::bad_alloc
    void* do_allocate(std::size_t wanted, std::size_t alignment) override {
        const std::size_t bytes = bytes_for(wanted);
        const std::scoped_lock lock(mutex_);
        std::vector<void*>& spare = spare_[{bytes, alignment}];
        if (!spare.empty()) {
            void* const piece = spare.back();
            spare.pop_back();
            return piece;
        }
        void* piece = next_;
        if (std::align(alignment, bytes, piece, left_) == nullptr) {
            chunks_.push_back(std::make_unique<HugeMapping>(std::max(bytes, chunk_bytes)));
            piece = chunks_.back()->data();
            left_ = chunks_.back()->bytes();
        }
        next_ = static_cast<std::byte*>(piece) + bytes;
        left_ -= bytes;
        return piece;
    }
    void do_deallocate(void* piece, std::size_t bytes, std::size_t alignment) override {
        const std::scoped_lock lock(mutex_);
        spare_[{bytes_for(bytes), alignment}].push_back(piece);
    }
    [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
        return this == &other;
    }

    std::mutex mutex_;
    std::vector<std::unique_ptr<HugeMapping>> chunks_;
    std::map<Kind, std::vector<void*>> spare_;
    void* next_ = nullptr;  ///< the rest of the last chunk
    std::size_t left_ = 0;  ///< bytes of it
};

#if defined(__SANITIZE_ADDRESS__)
#define NOCLASH_PIECES_OF_THEIR_OWN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NOCLASH_PIECES_OF_THEIR_OWN
#endif
#endif

/// The pool of this process. Under AddressSanitizer there is none: it would hide the use of what
/// was given back.
[[nodiscard]] inline std::pmr::memory_resource& huge_pool() {
#ifdef NOCLASH_PIECES_OF_THEIR_OWN
    return *std::pmr::new_delete_resource();
#else
    static HugePool pool;
    return pool;
#endif
}

#undef NOCLASH_PIECES_OF_THEIR_OWN

}  // namespace noclash
