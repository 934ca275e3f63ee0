// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/response_writer.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <nlohmann/json.hpp>

namespace noclash::dpdk {

namespace {

constexpr std::size_t flush_at = 65536;
constexpr std::chrono::seconds sign_of_life_interval{1};

}  // namespace

ResponseWriter::ResponseWriter(int socket, int timeout_ms, ClientActivity& activity)
    : socket_(socket),
      timeout_ms_(timeout_ms),
      activity_(activity),
      sent_(ClientActivity::Clock::now()) {}

void ResponseWriter::await_reader() {
    activity_.begin(ClientActivity::Kind::awaits_reader);
    pollfd waiting{socket_, POLLOUT, 0};
    const int ready = ::poll(&waiting, 1, timeout_ms_);
    if (ready == 0 || (ready < 0 && errno != EINTR)) throw ClientGone();
    activity_.begin(ClientActivity::Kind::works);
}

void ResponseWriter::flush() {
    std::string_view left = buffer_;
    while (!left.empty()) {
        if (activity_.is_sent_away()) throw ClientGone();
        const ssize_t sent = ::send(socket_, left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            left.remove_prefix(static_cast<std::size_t>(sent));
        } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            await_reader();
        } else if (sent == 0 || errno != EINTR) {
            throw ClientGone();
        }
    }
    buffer_.clear();
    sent_ = ClientActivity::Clock::now();
}

void ResponseWriter::row(std::string_view json_text) {
    buffer_ += R"({"row":)";
    buffer_ += json_text;
    buffer_ += "}\n";
    ++rows_;
    if (buffer_.size() >= flush_at) flush();
}

void ResponseWriter::at_work() {
    if (activity_.is_sent_away()) throw ClientGone();
    if (ClientActivity::Clock::now() - sent_ < sign_of_life_interval) return;
    if (buffer_.empty()) buffer_ += '\n';
    flush();
}

void ResponseWriter::finish() {
    buffer_ += fmt::format("{{\"end\":{{\"rows\":{}}}}}\n", rows_);
    flush();
}

void ResponseWriter::fail(std::string_view what) {
    const nlohmann::json error{{"error", what}};
    buffer_ += error.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    flush();
}

}  // namespace noclash::dpdk
