// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/control_socket.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

#include "dpdk/control/control_request.hpp"
#include "dpdk/device/unix_socket.hpp"

namespace noclash::dpdk {

namespace {

using Clock = ClientActivity::Clock;

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

}  // namespace

struct ControlSocket::Connection {
    explicit Connection(int number) : socket(number) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { ::close(socket); }

    const int socket;
    ClientActivity activity;
    std::atomic<bool> done{false};  ///< written last by `thread`, read by the accepting thread
    std::thread thread;
};

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
        if (socket >= 0) {
            admit(socket);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            // The client stays in the backlog: without a pause, poll() would return at once.
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    }
    for (const auto& connection : connections_) {
        connection->activity.send_away();
        ::shutdown(connection->socket, SHUT_RDWR);
    }
    for (const auto& connection : connections_)
        connection->thread.join();
    connections_.clear();
}

void ControlSocket::admit(int socket) {
    auto connection = std::make_unique<Connection>(socket);
    if (!make_room()) return;
    connection->activity.begin(ClientActivity::Kind::awaits_request);
    Connection& admitted = *connections_.emplace_back(std::move(connection));
    try {
        admitted.thread = start_thread([this, &admitted] {
            serve(admitted);
            admitted.done.store(true, std::memory_order_release);  // (75)
        });
    } catch (const std::system_error&) {
        connections_.pop_back();  // no more threads: the client sees a closed connection
    }
}

bool ControlSocket::make_room() {
    const auto deadline = Clock::now() + std::chrono::milliseconds(options_.newcomer_waits_ms);
    for (;;) {
        connections_.remove_if([](const auto& connection) {
            if (!connection->done.load(std::memory_order_acquire)) return false;  // (76)
            connection->thread.join();
            return true;
        });
        if (connections_.size() < options_.most_clients) return true;
        const auto leaves = std::ranges::min_element(
            connections_, {}, [](const auto& connection) { return connection->activity.state(); });
        const ClientActivity::State state = (*leaves)->activity.state();
        const auto idle = Clock::now().time_since_epoch() - state.since;
        const bool is_idle = state.kind != ClientActivity::Kind::works &&
                             idle >= std::chrono::milliseconds(options_.idle_ms);
        if (is_idle || Clock::now() >= deadline) {
            (*leaves)->activity.send_away();
            ::shutdown((*leaves)->socket, SHUT_RDWR);
            (*leaves)->thread.join();  // soon: it waits for its client, or asks `at_work`
            connections_.erase(leaves);
            return true;
        }
        pollfd stopping{wake_, POLLIN, 0};
        if (::poll(&stopping, 1, 10) > 0) return false;
    }
}

void ControlSocket::serve(Connection& connection) {
    RequestReader reader(connection.socket, options_.timeout_ms);
    std::string line;
    try {
        for (;;) {
            connection.activity.begin(ClientActivity::Kind::awaits_request);
            const RequestReader::Result result = reader.next(line);
            if (result == RequestReader::Result::end) break;
            connection.activity.begin(ClientActivity::Kind::works);
            ResponseWriter writer(connection.socket, options_.timeout_ms, connection.activity);
            if (result == RequestReader::Result::too_long) {
                writer.fail("the request is longer than 1 MiB: make several of it");
                break;
            }
            answer(line, writer);
        }
    } catch (const ClientGone&) {
        // Nobody is left to be told.
    }
    // The descriptor stays open until the thread has been joined: stop() may be looking at it.
    ::shutdown(connection.socket, SHUT_RDWR);
}

void ControlSocket::answer(const std::string& line, ResponseWriter& writer) {
    try {
        handler_(parse_request(line), writer);
    } catch (const ClientGone&) {
        throw;
    } catch (const std::exception& error) {
        writer.fail(error.what());
        return;
    }
    writer.finish();
}

}  // namespace noclash::dpdk
