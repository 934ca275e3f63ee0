// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace noclash::tools {

/// Prints to standard output, without waiting for a slow reader. From one thread.
/// @throws std::runtime_error when something printed earlier did not reach its destination
void print(std::string_view text);

/// Waits until the reader has taken all that was printed.
/// @throws std::runtime_error when something printed did not reach its destination
void flush_output();

/// Prints a JSON array element by element.
class JsonArray {
  public:
    void add(std::string_view element);
    /// Ends the array. It stays open when an error comes in between: half of a list should not look
    /// like all of it.
    void close();

  private:
    bool empty_ = true;
};

}  // namespace noclash::tools
