// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace noclash::dpdk {

/// What is wrong with a stream of flows.
class StreamError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

static_assert(std::endian::native == std::endian::little);

/// Little-endian numbers and texts, one behind the other.
class ByteWriter {
  public:
    template <std::unsigned_integral Number>
    void number(Number value) {
        const auto at = bytes_.size();
        bytes_.resize(at + sizeof value);
        std::memcpy(bytes_.data() + at, &value, sizeof value);
    }
    void raw(const void* data, std::size_t size) {
        const auto* first = static_cast<const std::uint8_t*>(data);
        bytes_.insert(bytes_.end(), first, first + size);
    }
    /// Its length in bytes, as a `Length`, and the text.
    template <std::unsigned_integral Length>
    void text(std::string_view value) {
        if (!std::in_range<Length>(value.size())) throw StreamError("a name or text is too long");
        number(static_cast<Length>(value.size()));
        raw(value.data(), value.size());
    }
    /// A text in a field of this size, with NULs behind it.
    void field(std::string_view value, std::size_t size) {
        value = value.substr(0, size - 1);
        raw(value.data(), value.size());
        bytes_.resize(bytes_.size() + size - value.size());
    }
    [[nodiscard]] std::vector<std::uint8_t>& bytes() { return bytes_; }

  private:
    std::vector<std::uint8_t> bytes_;
};

/// Reads them. @throws StreamError when there are none left
class ByteReader {
  public:
    /// @param what  they are, as in "WHAT ends too soon"
    ByteReader(std::span<const std::uint8_t> bytes, const char* what) : left_(bytes), what_(what) {}

    [[nodiscard]] std::size_t left() const { return left_.size(); }
    template <std::unsigned_integral Number>
    [[nodiscard]] Number number() {
        Number value{};
        std::memcpy(&value, take(sizeof value).data(), sizeof value);
        return value;
    }
    [[nodiscard]] std::span<const std::uint8_t> take(std::size_t size) {
        if (size > left_.size()) throw StreamError(std::string(what_) + " ends too soon");
        const auto taken = left_.first(size);
        left_ = left_.subspan(size);
        return taken;
    }
    template <std::unsigned_integral Length>
    [[nodiscard]] std::string text() {
        const auto bytes = take(number<Length>());
        return {bytes.begin(), bytes.end()};
    }
    [[nodiscard]] std::string field(std::size_t size) {
        const auto bytes = take(size);
        const std::string all(bytes.begin(), bytes.end());
        return all.substr(0, all.find('\0'));
    }

  private:
    std::span<const std::uint8_t> left_;
    const char* what_;
};

}  // namespace noclash::dpdk
