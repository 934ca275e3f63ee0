// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control_socket.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

#include "dpdk/unix_socket.hpp"

namespace noclash::dpdk {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t longest_request = 65536;
constexpr std::size_t flush_at = 65536;

void set_timeout(int socket, int timeout_ms) {
    const timeval limit{timeout_ms / 1000, (timeout_ms % 1000) * 1000L};
    ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

std::string error_line(std::string_view what) {
    const nlohmann::json error{{"error", what}};
    return error.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

/// Starts a thread that takes none of the process's signals: those are for the main thread.
template <class Function>
std::thread start_thread(Function function) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread thread(std::move(function));
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
}

/// Cuts the requests of a connection into lines.
class LineReader {
  public:
    enum class Result { line, end, too_long };

    LineReader(int socket, int timeout_ms) : socket_(socket), timeout_ms_(timeout_ms) {}

    /// The next line, without its end. `end` also when it does not arrive in time.
    Result next(std::string& line) {
        const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms_);
        for (;;) {
            if (const std::size_t end = pending_.find('\n'); end != std::string::npos) {
                if (end > longest_request) return Result::too_long;
                line = pending_.substr(0, end);
                pending_.erase(0, end + 1);
                return Result::line;
            }
            if (pending_.size() > longest_request) return Result::too_long;
            if (!receive(deadline)) return Result::end;
        }
    }

  private:
    bool receive(Clock::time_point deadline) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) return false;
        pollfd waiting{socket_, POLLIN, 0};
        const int ready = ::poll(&waiting, 1, static_cast<int>(left));
        if (ready < 0) return errno == EINTR;
        if (ready == 0) return false;
        char part[4096];
        const ssize_t got = ::recv(socket_, part, sizeof part, 0);
        if (got <= 0) return got < 0 && errno == EINTR;
        pending_.append(part, static_cast<std::size_t>(got));
        return true;
    }

    int socket_;
    int timeout_ms_;
    std::string pending_;
};

}  // namespace

struct ControlSocket::Connection {
    explicit Connection(int number) : socket(number) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { ::close(socket); }

    const int socket;
    std::atomic<bool> done{false};  ///< written last by `thread`, read by the accepting thread
    std::thread thread;
};

void ResponseWriter::flush() {
    std::string_view left = buffer_;
    while (!left.empty()) {
        const ssize_t sent = ::send(socket_, left.data(), left.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) throw ClientGone();
        left.remove_prefix(static_cast<std::size_t>(sent));
    }
    buffer_.clear();
}

void ResponseWriter::row(std::string_view json_object_text) {
    buffer_ += R"({"row":)";
    buffer_ += json_object_text;
    buffer_ += "}\n";
    ++rows_;
    if (buffer_.size() >= flush_at) flush();
}

void ResponseWriter::finish() {
    buffer_ += fmt::format("{{\"end\":{{\"rows\":{}}}}}\n", rows_);
    flush();
}

void ResponseWriter::fail(std::string_view what) {
    buffer_ += error_line(what);
    flush();
}

ControlSocket::ControlSocket(ControlSocketOptions options, Handler handler)
    : options_(std::move(options)), handler_(std::move(handler)) {
    listener_ = listen_at(options_.path);
    struct stat status {};
    if (::stat(options_.path.c_str(), &status) == 0) {
        device_ = status.st_dev;
        inode_ = status.st_ino;
    }
    wake_ = ::eventfd(0, EFD_CLOEXEC);
    if (wake_ < 0) {
        ::close(listener_);
        throw std::runtime_error(fmt::format("control socket: eventfd: {}", std::strerror(errno)));
    }
    acceptor_ = start_thread([this] { accept_clients(); });
}

ControlSocket::~ControlSocket() {
    stop();
}

void ControlSocket::stop() {
    if (!acceptor_.joinable()) return;
    // The path may belong to another daemon by now, if somebody removed ours by hand.
    struct stat status {};
    if (::stat(options_.path.c_str(), &status) == 0 && status.st_dev == device_ &&
        status.st_ino == inode_) {
        ::unlink(options_.path.c_str());
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
    acceptor_.join();
    ::close(listener_);
    ::close(wake_);
}

void ControlSocket::accept_clients() {
    for (;;) {
        pollfd waiting[2] = {{listener_, POLLIN, 0}, {wake_, POLLIN, 0}};
        if (::poll(waiting, 2, -1) < 0 && errno != EINTR) break;
        if (waiting[1].revents != 0) break;
        const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        connections_.remove_if([](const auto& connection) {
            if (!connection->done.load(std::memory_order_acquire)) return false;
            connection->thread.join();
            return true;
        });
        if (socket >= 0) {
            admit(socket);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            // The client stays in the backlog: without a pause, poll() would return at once.
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    }
    for (const auto& connection : connections_)
        ::shutdown(connection->socket, SHUT_RDWR);
    for (const auto& connection : connections_)
        connection->thread.join();
    connections_.clear();
}

void ControlSocket::admit(int socket) {
    set_timeout(socket, options_.timeout_ms);
    if (connections_.size() >= options_.most_clients) {
        const std::string line =
            error_line(fmt::format("{} clients are being served, which is as many as there may be: "
                                   "try again in a moment",
                                   connections_.size()));
        ::send(socket, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        ::close(socket);
        return;
    }
    auto& connection = *connections_.emplace_back(std::make_unique<Connection>(socket));
    try {
        connection.thread = start_thread([this, &connection] {
            serve(connection);
            connection.done.store(true, std::memory_order_release);
        });
    } catch (const std::system_error&) {
        connections_.pop_back();  // no more threads: the client sees a closed connection
    }
}

void ControlSocket::serve(Connection& connection) {
    LineReader reader(connection.socket, options_.timeout_ms);
    std::string line;
    try {
        for (;;) {
            const LineReader::Result result = reader.next(line);
            if (result == LineReader::Result::end) break;
            if (result == LineReader::Result::too_long) {
                ResponseWriter(connection.socket).fail("the request is longer than 64 KiB");
                break;
            }
            answer(line, connection.socket);
        }
    } catch (const ClientGone&) {
        // Nobody is left to be told.
    }
    // The descriptor stays open until the thread has been joined: stop() may be looking at it.
    ::shutdown(connection.socket, SHUT_RDWR);
}

void ControlSocket::answer(const std::string& line, int socket) {
    ResponseWriter writer(socket);
    try {
        const auto request = nlohmann::json::parse(line, nullptr, false);
        const bool fit =
            request.is_object() && request.contains("command") && request.at("command").is_string();
        if (!fit) {
            writer.fail(R"(the request is no JSON object with a "command")");
            return;
        }
        handler_(request, writer);
    } catch (const ClientGone&) {
        throw;
    } catch (const std::exception& error) {
        writer.fail(error.what());
        return;
    }
    writer.finish();
}

}  // namespace noclash::dpdk
