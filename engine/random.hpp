// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/random.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace noclash {

/// Fills `bytes` from the kernel's CSPRNG.
/// @throws std::runtime_error when the kernel has none (never on Linux >= 3.17).
inline void kernel_random(void* bytes, std::size_t size) {
    auto* at = static_cast<std::uint8_t*>(bytes);
    while (size > 0) {
        const ssize_t got = ::getrandom(at, size, 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            throw std::runtime_error(std::string("getrandom: ") + std::strerror(errno));
        }
        at += got;
        size -= static_cast<std::size_t>(got);
    }
}

/// Random numbers that nobody outside can predict, read from the kernel in bulk. One worker's own.
class RandomBuffer {
  public:
    RandomBuffer() { refill(); }

    /// Uniform in [0, bound), without modulo bias (Lemire, "Fast random integer generation in an
    /// interval", 2019). 1 <= bound.
    [[nodiscard]] std::uint32_t below(std::uint32_t bound) {
        std::uint64_t product = std::uint64_t{next()} * bound;
        if (static_cast<std::uint32_t>(product) < bound) {
            const std::uint32_t threshold = -bound % bound;
            while (static_cast<std::uint32_t>(product) < threshold)
                product = std::uint64_t{next()} * bound;
        }
        return static_cast<std::uint32_t>(product >> 32U);
    }

    /// Called between bursts, a little at a time, so that no packet waits for the system call.
    void top_up() {
        if (used_ < slice) return;
        used_ -= slice;
        kernel_random(&buffer_[used_], slice * sizeof buffer_[0]);
    }

  private:
    static constexpr std::size_t words = 32768;
    static constexpr std::size_t slice = 1024;

    std::uint32_t next() {
        if (used_ == words) refill();
        const std::uint32_t word = buffer_[used_];
        buffer_[used_++] = 0;  // what was used once must not be readable later
        return word;
    }
    void refill() {
        kernel_random(buffer_.data(), sizeof buffer_);
        used_ = 0;
    }

    std::array<std::uint32_t, words> buffer_{};
    std::size_t used_ = 0;
};

}  // namespace noclash
