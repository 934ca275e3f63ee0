// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/unix_socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <utility>

namespace noclash::dpdk {

namespace {

[[noreturn]] void fail(const std::string& path, std::string_view what, int error) {
    throw std::runtime_error(fmt::format("{}: {}: {}", path, what, std::strerror(error)));
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) fail(path, "socket path", ENAMETOOLONG);
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

struct Descriptor {
    explicit Descriptor(int opened) : number(opened) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number >= 0) ::close(number);
    }
    int release() { return std::exchange(number, -1); }

    int number;
};

}  // namespace

void remove_stale_socket(const std::string& path, int type) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        if (errno == ENOENT) return;
        fail(path, "cannot look at the socket", errno);
    }
    if (!S_ISSOCK(status.st_mode)) {
        throw std::runtime_error(
            fmt::format("{}: exists and is no socket; remove it or name another path", path));
    }
    const Descriptor probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (probe.number < 0) fail(path, "cannot make a socket", errno);
    const sockaddr_un address = address_of(path);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(probe.number, generic, sizeof address) == 0 || errno == EAGAIN) {
        throw std::runtime_error(
            fmt::format("{}: another process listens there; stop it, or name another path", path));
    }
    if (errno != ECONNREFUSED) fail(path, "cannot find out whether a process listens", errno);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        fail(path, "cannot remove the socket of a process that has gone", errno);
    }
}

void create_directory_of(const std::string& path) {
    const auto directory = std::filesystem::path(path).parent_path();
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) {
        throw std::runtime_error(fmt::format("{}: cannot create the directory: {}",
                                             directory.string(), error.message()));
    }
}

int listen_at(const std::string& path) {
    create_directory_of(path);
    const std::string directory = std::filesystem::path(path).parent_path().string();
    // Between finding a stale socket and binding the new one no other daemon may do the same. The
    // lock is on the directory, so it leaves no file behind, and the kernel drops it with us.
    const Descriptor lock(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (lock.number < 0) fail(directory, "cannot open the directory", errno);
    if (::flock(lock.number, LOCK_EX) != 0) fail(directory, "cannot lock the directory", errno);

    remove_stale_socket(path, SOCK_STREAM);
    Descriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (listener.number < 0) fail(path, "cannot make a socket", errno);
    const sockaddr_un address = address_of(path);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::bind(listener.number, generic, sizeof address) != 0) fail(path, "cannot bind", errno);
    // Nobody can connect before listen(), so the mode is right from the first client on.
    if (::chmod(path.c_str(), 0660) != 0) fail(path, "cannot set the mode", errno);
    if (::listen(listener.number, 16) != 0) fail(path, "cannot listen", errno);
    return listener.release();
}

}  // namespace noclash::dpdk
