// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace noclash::tools {

/// No daemon answers: there is none, it went away, it is stopped, or it is something else.
class NoDaemon : public std::runtime_error {
  public:
    /// @param remedy  what a user of noclashctl can do; may be empty
    explicit NoDaemon(std::string reason, const std::string& remedy = "")
        : std::runtime_error(remedy.empty() ? reason : reason + "; " + remedy),
          reason_(std::move(reason)) {}
    /// What is wrong, without a remedy.
    [[nodiscard]] const std::string& reason() const { return reason_; }

  private:
    std::string reason_;
};

/// The daemon answered that something is wrong.
class DaemonError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A connection to the daemon's control socket; `dpdk/control/control_socket.hpp` describes what is
/// spoken.
class Client {
  public:
    /// Takes the text of one row, a JSON object; the view dies with the call.
    using OnRow = std::function<void(std::string_view row)>;

    /// @param timeout_s  so long may the daemon be silent; one at work gives a sign each second
    /// @throws NoDaemon
    Client(const std::string& path, unsigned timeout_s);
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client();

    /// Asks, and hands on the rows as they arrive.
    /// @throws NoDaemon, DaemonError
    void call(const nlohmann::json& request, const OnRow& on_row);

  private:
    void send(std::string_view text);
    std::string_view next_line();
    void receive();
    [[noreturn]] void silent() const;

    std::string path_;
    unsigned timeout_s_;
    int socket_ = -1;
    std::string buffer_;
    std::size_t begin_ = 0;  ///< of what is unread in `buffer_`
};

}  // namespace noclash::tools
