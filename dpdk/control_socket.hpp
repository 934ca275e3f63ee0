// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace noclash::dpdk {

/// Thrown by `ResponseWriter::row` when nobody reads any more: the client left or stalled, or the
/// server stops. A handler lets it pass.
class ClientGone : public std::runtime_error {
  public:
    ClientGone() : std::runtime_error("the client is gone") {}
};

/// Takes the rows of one answer. Used by the handler's own thread only.
class ResponseWriter {
  public:
    explicit ResponseWriter(int socket) : socket_(socket) {}
    ResponseWriter(const ResponseWriter&) = delete;
    ResponseWriter& operator=(const ResponseWriter&) = delete;

    /// Adds a row; `json_object_text` is one JSON object without a line break. Buffers, so that a
    /// dump costs a system call for each 64 KiB, and blocks while the client reads slowly.
    /// @throws ClientGone
    void row(std::string_view json_object_text);

    /// The last line of the answer, and the flush. Called by the server.
    void finish();
    void fail(std::string_view what);

  private:
    void flush();

    int socket_;
    std::size_t rows_ = 0;
    std::string buffer_;
};

struct ControlSocketOptions {
    std::string path;
    std::size_t most_clients = 8;  ///< at a time; one more is told so and sent away
    int timeout_ms = 30000;        ///< for a request to arrive, and for a client to read on
};

/// The daemon's control socket: newline-delimited JSON over a UNIX stream socket.
///
/// A request is one line, `{"command": "...", ...}`, of at most 64 KiB. Its answer is any number of
/// `{"row": {...}}` lines and a last one: `{"end": {"rows": N}}` or `{"error": "text"}`. Requests
/// of one connection are answered one after another. Each connection has a thread, so a stalled
/// client delays nobody else; none of them ever touches a worker's data path.
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
    void serve(Connection& connection);
    void answer(const std::string& line, int socket);

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
