// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/spool.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace noclash::tools {

namespace {

constexpr std::size_t most_written_at_once = 1U << 20;

/// @return an errno, or 0
int write_all(int to, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(to, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return 0;
}

/// Not in /tmp, which may be memory.
std::string temporary_directory() {
    const char* named = std::getenv("TMPDIR");
    return named != nullptr && *named != '\0' ? named : "/var/tmp";
}

[[noreturn]] void cannot_keep(int error) {
    throw std::runtime_error(
        fmt::format("cannot keep in {} the output that a slow reader has not taken yet: {}; set "
                    "TMPDIR to a directory with room, or write to a file first",
                    temporary_directory(), std::strerror(error)));
}

int unnamed_file() {
    std::string pattern = temporary_directory() + "/noclashctl-XXXXXX";
    const int file = ::mkostemp(pattern.data(), O_CLOEXEC);
    if (file < 0) cannot_keep(errno);
    ::unlink(pattern.c_str());
    return file;
}

}  // namespace

Spool::Spool(int to, std::size_t memory_bytes)
    : to_(to), memory_bytes_(memory_bytes), thread_([this] { run(); }) {}

Spool::~Spool() {
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
    }
    changed_.notify_all();
    thread_.join();
    if (file_ >= 0) ::close(file_);
}

void Spool::check() const {
    if (!failure_.empty()) throw std::runtime_error(failure_);
}

void Spool::write(std::string_view text) {
    const std::lock_guard lock(mutex_);
    check();
    if (read_ == written_ && memory_.size() + text.size() <= memory_bytes_) {
        memory_ += text;
    } else {
        spill(text);
    }
    changed_.notify_all();
}

void Spool::spill(std::string_view text) {
    if (file_ < 0) file_ = unnamed_file();
    while (!text.empty()) {
        const ssize_t written = ::pwrite(file_, text.data(), text.size(), written_);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) cannot_keep(errno);
        written_ += written;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

void Spool::take(std::string& piece) {
    piece.clear();
    if (!memory_.empty()) return piece.swap(memory_);
    piece.resize(std::min(most_written_at_once, static_cast<std::size_t>(written_ - read_)));
    const ssize_t got = ::pread(file_, piece.data(), piece.size(), read_);
    if (got <= 0) {
        failure_ =
            fmt::format("cannot read back the output that was kept: {}", std::strerror(errno));
        return piece.clear();
    }
    piece.resize(static_cast<std::size_t>(got));
    read_ += got;
    if (read_ < written_) return;
    read_ = written_ = 0;
    (void)!::ftruncate(file_, 0);  // gives its room back; an error costs nothing else
}

void Spool::run() {
    std::string piece;
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return closing_ || is_pending(); });
        if (!is_pending()) return;
        take(piece);
        writing_ = true;
        lock.unlock();
        const int error = write_all(to_, piece);
        lock.lock();
        writing_ = false;
        if (error != 0) failure_ = fmt::format("cannot write: {}", std::strerror(error));
        changed_.notify_all();
        if (!failure_.empty()) return;
    }
}

void Spool::drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !failure_.empty() || (!is_pending() && !writing_); });
    check();
}

}  // namespace noclash::tools
