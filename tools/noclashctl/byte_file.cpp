// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/byte_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace noclash::tools {

namespace {

constexpr mode_t owner_only = 0600;

[[noreturn]] void fail(const std::string& file) {
    throw std::runtime_error(fmt::format("{}: {}", file, std::strerror(errno)));
}

/// Not a pipe or a device.
bool may_be_replaced(const std::string& file) {
    struct stat status {};
    return ::lstat(file.c_str(), &status) != 0 || S_ISREG(status.st_mode);
}

}  // namespace

ByteOutput::ByteOutput(const std::string& file) : file_(file) {
    if (file == "-") {
        file_ = "standard output";
        descriptor_ = STDOUT_FILENO;
        return;
    }
    if (may_be_replaced(file)) unfinished_ = file + ".unfinished";
    const std::string& name = unfinished_.empty() ? file_ : unfinished_;
    descriptor_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, owner_only);
    if (descriptor_ < 0) fail(name);
}

ByteOutput::~ByteOutput() {
    if (descriptor_ != STDOUT_FILENO && descriptor_ >= 0) ::close(descriptor_);
    if (!unfinished_.empty()) ::unlink(unfinished_.c_str());
}

void ByteOutput::write(std::span<const std::uint8_t> bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail(file_);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
}

void ByteOutput::finish() {
    if (unfinished_.empty()) return;
    if (::fsync(descriptor_) != 0) fail(unfinished_);
    if (std::rename(unfinished_.c_str(), file_.c_str()) != 0) fail(file_);
    unfinished_.clear();
}

ByteInput::ByteInput(const std::string& file) : file_(file) {
    if (file == "-") {
        file_ = "standard input";
        descriptor_ = STDIN_FILENO;
        return;
    }
    descriptor_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail(file_);
}

ByteInput::~ByteInput() {
    if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
}

std::size_t ByteInput::read(std::span<std::uint8_t> bytes) {
    for (;;) {
        const ssize_t got = ::read(descriptor_, bytes.data(), bytes.size());
        if (got >= 0) return static_cast<std::size_t>(got);
        if (errno != EINTR) fail(file_);
    }
}

}  // namespace noclash::tools
