// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace noclash::tools {

namespace {

constexpr std::string_view row_begin = R"({"row":)";
constexpr std::size_t read_size = 1 << 16;
constexpr std::size_t longest_line = 64U << 20;  // of a peer that speaks something else

[[noreturn]] void no_daemon(const std::string& path, int error) {
    throw NoDaemon(fmt::format("no noclash answers at {}: {}", path, std::strerror(error)),
                   error == EACCES || error == EPERM
                       ? "run noclashctl as root, or as a member of the socket's group"
                       : "start it with `noclash --config FILE`, or name the `control_socket` of "
                         "its configuration with --socket");
}

[[noreturn]] void no_noclash(const std::string& path) {
    throw NoDaemon(fmt::format("something answers at {}, but not as noclash does", path));
}

}  // namespace

Client::Client(const std::string& path, unsigned timeout_s) : path_(path), timeout_s_(timeout_s) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) no_daemon(path, ENAMETOOLONG);
    std::memcpy(address.sun_path, path.data(), path.size());
    socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) no_daemon(path, errno);
    // A stopped daemon accepts nobody: connect() waits, too, when others wait already.
    const timeval limit{static_cast<time_t>(timeout_s), 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket_, generic, sizeof address) != 0) {
        const int error = errno;
        ::close(socket_);
        if (error == EAGAIN) silent();
        no_daemon(path, error);
    }
}

Client::~Client() {
    ::close(socket_);
}

void Client::silent() const {
    throw NoDaemon(fmt::format("noclash at {} has been silent for {} s: it is stopped, or starved "
                               "of CPU time",
                               path_, timeout_s_),
                   "--timeout waits longer");
}

void Client::send(std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) silent();
        // The daemon may have said why it does not listen; its line is worth reading.
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return;
        if (sent < 0) no_daemon(path_, errno);
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
}

void Client::receive() {
    pollfd waiting{socket_, POLLIN, 0};
    int ready = 0;
    do {
        ready = ::poll(&waiting, 1, static_cast<int>(timeout_s_) * 1000);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) silent();
    const std::size_t before = buffer_.size();
    buffer_.resize(before + read_size);
    ssize_t got = 0;
    do {
        got = ::recv(socket_, buffer_.data() + before, read_size, 0);
    } while (got < 0 && errno == EINTR);
    const int error = errno;
    buffer_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got > 0) return;
    throw NoDaemon(fmt::format("noclash at {} closed the connection in mid-answer{}", path_,
                               got < 0 ? fmt::format(": {}", std::strerror(error)) : ""));
}

std::string_view Client::next_line() {
    std::size_t searched = begin_;
    for (;;) {
        const std::size_t end = buffer_.find('\n', searched);
        if (end != std::string::npos) {
            const std::string_view line(buffer_.data() + begin_, end - begin_);
            begin_ = end + 1;
            return line;
        }
        buffer_.erase(0, begin_);
        begin_ = 0;
        searched = buffer_.size();
        if (searched > longest_line) no_noclash(path_);
        receive();
    }
}

void Client::call(const nlohmann::json& request, const OnRow& on_row) {
    send(request.dump() + "\n");
    for (;;) {
        const std::string_view line = next_line();
        if (line.empty()) continue;  // the daemon is at work
        // Rows are many and are not parsed here: the daemon writes them in exactly this form.
        if (line.starts_with(row_begin) && line.ends_with('}')) {
            on_row(line.substr(row_begin.size(), line.size() - row_begin.size() - 1));
            continue;
        }
        const auto last = nlohmann::json::parse(line, nullptr, false);
        if (last.is_object() && last.contains("end")) return;
        if (last.is_object() && last.contains("error") && last.at("error").is_string()) {
            throw DaemonError(last.at("error").get<std::string>());
        }
        no_noclash(path_);
    }
}

}  // namespace noclash::tools
