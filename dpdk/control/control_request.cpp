// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/control_request.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace noclash::dpdk {

RequestReader::Result RequestReader::next(std::string& line) {
    const auto deadline = ClientActivity::Clock::now() + std::chrono::milliseconds(timeout_ms_);
    for (;;) {
        if (const std::size_t end = pending_.find('\n', searched_); end != std::string::npos) {
            if (end > longest_request) return Result::too_long;
            line = pending_.substr(0, end);
            pending_.erase(0, end + 1);
            searched_ = 0;
            return Result::line;
        }
        searched_ = pending_.size();
        if (pending_.size() > longest_request) return Result::too_long;
        if (!receive(deadline)) return Result::end;
    }
}

bool RequestReader::receive(ClientActivity::Clock::time_point deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                          deadline - ClientActivity::Clock::now())
                          .count();
    if (left <= 0) return false;
    pollfd waiting{socket_, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left));
    if (ready < 0) return errno == EINTR;
    if (ready == 0) return false;
    char part[4096];
    const ssize_t got = ::recv(socket_, part, sizeof part, MSG_DONTWAIT);
    if (got <= 0) return got < 0 && (errno == EINTR || errno == EAGAIN);
    pending_.append(part, static_cast<std::size_t>(got));
    return true;
}

std::size_t nesting_of(std::string_view text) {
    std::size_t depth = 0;
    std::size_t deepest = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            deepest = std::max(deepest, ++depth);
        } else if ((c == '}' || c == ']') && depth > 0) {
            --depth;
        }
    }
    return deepest;
}

nlohmann::json parse_request(std::string_view line) {
    if (nesting_of(line) > deepest_request) {
        throw std::runtime_error(
            fmt::format("the request is nested deeper than {} levels", deepest_request));
    }
    auto request = nlohmann::json::parse(line, nullptr, false);
    const auto command = request.is_object() ? request.find("command") : request.end();
    if (command == request.end() || !command->is_string())
        throw std::runtime_error(R"(the request is no JSON object with a "command")");
    return request;
}

void allow_only(const nlohmann::json& request, std::initializer_list<std::string_view> keys) {
    for (const auto& [key, value] : request.items()) {
        if (key == "command" || std::ranges::find(keys, key) != keys.end()) continue;
        throw std::runtime_error(fmt::format("{}: no such key", key));
    }
}

}  // namespace noclash::dpdk
