// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "dpdk/control/response_writer.hpp"

namespace noclash::dpdk {

/// Bytes of the longest request, without its line end: some 20,000 backends of services. Parsed, a
/// request takes up to 30 times as much memory, and there are 8 clients.
inline constexpr std::size_t longest_request = 1U << 20U;
/// Objects and arrays that may stand in each other. A request needs two; the JSON library recurses
/// when it copies, so that a deeper one could exhaust the stack.
inline constexpr std::size_t deepest_request = 8;

/// Cuts the requests of a connection into lines.
class RequestReader {
  public:
    enum class Result { line, end, too_long };

    /// `timeout_ms`: so long may a request take to arrive.
    RequestReader(int socket, int timeout_ms) : socket_(socket), timeout_ms_(timeout_ms) {}

    /// The next line, without its end. `end` also when it does not arrive in time.
    Result next(std::string& line);

  private:
    bool receive(ClientActivity::Clock::time_point deadline);

    int socket_;
    int timeout_ms_;
    std::string pending_;
    std::size_t searched_ = 0;  ///< bytes of `pending_` that hold no line end
};

/// Objects and arrays of `text` that stand in each other, at the deepest place. `text` need not be
/// JSON.
[[nodiscard]] std::size_t nesting_of(std::string_view text);

/// @return an object with a text as "command"
/// @throws std::runtime_error whose text is the answer
[[nodiscard]] nlohmann::json parse_request(std::string_view line);

/// @throws std::runtime_error when `request` has a key beside "command" and `keys`. A misspelt
/// "filter" must not make `flows flush` forget all flows.
void allow_only(const nlohmann::json& request, std::initializer_list<std::string_view> keys);

}  // namespace noclash::dpdk
