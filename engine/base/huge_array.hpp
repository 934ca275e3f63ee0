// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>

#include "engine/base/huge_mapping.hpp"
#include "engine/base/parallel.hpp"

namespace noclash {

/// A fixed array in memory of its own, laid out and touched at once (invariant 7: no page fault
/// later), on huge pages where they are to be had: a random access into a large table then costs
/// one cache miss and no page walk.
template <class T>
class HugeArray {
  public:
    explicit HugeArray(std::size_t size)
        : size_(size), memory_(size * sizeof(T)), data_(static_cast<T*>(memory_->data())) {
        parallel_for(size_, HugeMapping::two_megabytes / sizeof(T) + 1,
                     [this](std::size_t begin, std::size_t end) {
                         std::uninitialized_value_construct(data_ + begin, data_ + end);
                     });
    }
    /// Takes `size` elements as they are, in memory that somebody else keeps for longer than the
    /// array lives.
    HugeArray(std::size_t size, T* kept) : size_(size), data_(kept) {}
    HugeArray(const HugeArray&) = delete;
    HugeArray& operator=(const HugeArray&) = delete;

    /// The bytes of memory that an array of `size` elements takes, at least.
    [[nodiscard]] static constexpr std::size_t bytes_for(std::size_t size) {
        return HugeMapping::bytes_for(size * sizeof(T));
    }
    [[nodiscard]] T& operator[](std::size_t i) {
        assert(i < size_);
        return data_[i];
    }
    [[nodiscard]] const T& operator[](std::size_t i) const {
        assert(i < size_);
        return data_[i];
    }
    [[nodiscard]] std::size_t size() const { return size_; }
    /// The bytes of memory that the array takes.
    [[nodiscard]] std::size_t bytes() const {
        return memory_ ? memory_->bytes() : bytes_for(size_);
    }

  private:
    static_assert(std::is_trivially_destructible_v<T>);

    std::size_t size_;
    std::optional<HugeMapping> memory_;  ///< none: it is somebody else's
    T* data_;
};

}  // namespace noclash
