// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/client.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace noclash::tools {

namespace {

constexpr std::string_view row_begin = R"({"row":)";
constexpr std::size_t read_size = 1 << 16;
constexpr std::size_t longest_line = 64U << 20;  // of a peer that speaks something else

[[noreturn]] void no_daemon(const std::string& path, int error) {
    std::string text = fmt::format("no noclash answers at {}: {}", path, std::strerror(error));
    if (error == EACCES || error == EPERM) {
        text += "; run noclashctl as root, or as a member of the socket's group";
    } else {
        text +=
            "; start it with `noclash --config FILE`, or name the `control_socket` of its "
            "configuration with --socket";
    }
    throw NoDaemon(text);
}

}  // namespace

Client::Client(const std::string& path) : path_(path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) no_daemon(path, ENAMETOOLONG);
    std::memcpy(address.sun_path, path.data(), path.size());
    socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) no_daemon(path, errno);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket_, generic, sizeof address) != 0) {
        const int error = errno;
        ::close(socket_);
        no_daemon(path, error);
    }
}

Client::~Client() {
    ::close(socket_);
}

void Client::send(std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        // A daemon that is busy says so before it has read the request; its line is worth reading.
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return;
        if (sent < 0) no_daemon(path_, errno);
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
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
        if (searched > longest_line) {
            throw DaemonError(fmt::format("{}: whoever listens there is no noclash", path_));
        }
        buffer_.resize(searched + read_size);
        ssize_t got = 0;
        do {
            got = ::recv(socket_, buffer_.data() + searched, read_size, 0);
        } while (got < 0 && errno == EINTR);
        const int error = errno;
        buffer_.resize(searched + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got <= 0) {
            throw NoDaemon(fmt::format("noclash at {} closed the connection in mid-answer{}", path_,
                                       got < 0 ? fmt::format(": {}", std::strerror(error)) : ""));
        }
    }
}

void Client::call(const nlohmann::json& request, const OnRow& on_row) {
    send(request.dump() + "\n");
    for (;;) {
        const std::string_view line = next_line();
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
        throw DaemonError(fmt::format("{}: an answer that noclash would not give", path_));
    }
}

}  // namespace noclash::tools
