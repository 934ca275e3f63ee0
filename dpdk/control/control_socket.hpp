// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>

#include "dpdk/control/response_writer.hpp"

namespace noclash::dpdk {

struct ControlSocketOptions {
    std::string path;
    std::size_t most_clients = 8;  ///< at a time
    int timeout_ms = 30000;        ///< for a request to arrive, and for a client to read on
    int idle_ms = 1000;            ///< a client that waited so long may have to leave for another
    int newcomer_waits_ms = 5000;  ///< for a place; then the client leaves that began first
};

/// The daemon's control socket: newline-delimited JSON over a UNIX stream socket.
///
/// A request is one line, `{"command": "...", ...}`, of at most 1 MiB. Its answer is any number of
/// `{"row": {...}}` lines and a last one: `{"end": {"rows": N}}` or `{"error": "text"}`. Requests
/// of one connection are answered one after another. An empty line in an answer means nothing but
/// that the server is at work. Each connection has a thread, so a stalled client delays nobody
/// else; none of them ever touches a worker's data path.
///
/// There is always a place for one more client: when all are taken, the client leaves that has
/// waited longest for its own next request, or else that has read nothing for longest.
class ControlSocket {
  public:
    /// Runs in a connection's thread, several at a time. What it throws becomes the error line.
    using Handler = std::function<void(const nlohmann::json& request, ResponseWriter& writer)>;

    /// Listens. Creates the directory of the path, and replaces a socket that nobody listens on.
    /// @throws std::runtime_error when another daemon listens, or the path cannot be used
    ControlSocket(ControlSocketOptions options, Handler handler);
    ControlSocket(const ControlSocket&) = delete;
    ControlSocket& operator=(const ControlSocket&) = delete;
    ~ControlSocket();

    /// Ends all connections and removes the socket; what the handlers send from then on is
    /// `ClientGone`. Returns when their threads have ended. A second call does nothing.
    void stop();

  private:
    struct Connection;

    void accept_clients();
    void admit(int socket);
    /// @return false when the server stops meanwhile
    bool make_room();
    void serve(Connection& connection);
    void answer(const std::string& line, ResponseWriter& writer);

    ControlSocketOptions options_;
    Handler handler_;
    int listener_ = -1;
    int wake_ = -1;  ///< an eventfd: tells the accepting thread to end
    dev_t device_ = 0;
    ino_t inode_ = 0;
    std::list<std::unique_ptr<Connection>> connections_;  ///< of the accepting thread, until joined
    std::thread acceptor_;
};

}  // namespace noclash::dpdk
