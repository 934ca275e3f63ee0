// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace noclash::tools {

/// A file of bytes, for its owner alone, that is there as a whole or not at all. `-` is standard
/// output.
class ByteOutput {
  public:
    /// @throws std::runtime_error, as all of them
    explicit ByteOutput(const std::string& file);
    ByteOutput(const ByteOutput&) = delete;
    ByteOutput& operator=(const ByteOutput&) = delete;
    ~ByteOutput();

    void write(std::span<const std::uint8_t> bytes);
    /// It is whole. The last call.
    void finish();

  private:
    std::string file_;
    std::string unfinished_;  ///< its name meanwhile; empty: it is written where it is
    int descriptor_ = -1;
};

/// A file of bytes; `-` is standard input.
class ByteInput {
  public:
    /// @throws std::runtime_error, as all of them
    explicit ByteInput(const std::string& file);
    ByteInput(const ByteInput&) = delete;
    ByteInput& operator=(const ByteInput&) = delete;
    ~ByteInput();

    /// @return how many were read; 0: at the end
    [[nodiscard]] std::size_t read(std::span<std::uint8_t> bytes);

  private:
    std::string file_;
    int descriptor_ = -1;
};

}  // namespace noclash::tools
