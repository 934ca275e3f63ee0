// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/state_view.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "dpdk/state/kept_policy.hpp"
#include "nat/conntrack/record_kind.hpp"

namespace noclash::dpdk {

namespace {

struct flock whole_file(short type) {
    struct flock whole {};
    whole.l_type = type;
    whole.l_whence = SEEK_SET;
    return whole;
}

}  // namespace

StateView::StateView(std::string path) : path_(std::move(path)) {
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor_ < 0) refuse(std::strerror(errno));
    struct stat file {};
    const bool known = ::fstat(descriptor_, &file) == 0;
    if (!known || !S_ISREG(file.st_mode)) {
        ::close(descriptor_);
        refuse("it is no regular file");
    }
    size_ = static_cast<std::uint64_t>(file.st_size);
    if (size_ < sizeof(StateHeader)) {
        kind_ = size_ == 0 ? StateKind::unfinished : StateKind::foreign;
        return;
    }
    void* const memory = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (memory == MAP_FAILED) {
        const int error = errno;
        ::close(descriptor_);
        refuse(fmt::format("cannot be mapped: {}", std::strerror(error)));
    }
    data_ = static_cast<const std::byte*>(memory);
    kind_ = kind_of(header(), size_);
}

StateView::~StateView() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
    ::close(descriptor_);
}

void StateView::refuse(const std::string& why) const {
    throw std::runtime_error(fmt::format("state file {}: {}", path_, why));
}

std::optional<pid_t> StateView::user() const {
    struct flock lock = whole_file(F_RDLCK);
    if (::fcntl(descriptor_, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
    return lock.l_pid > 0 ? lock.l_pid : 0;  // else it is in another PID namespace
}

void StateView::hold() {
    struct flock lock = whole_file(F_RDLCK);
    if (::fcntl(descriptor_, F_SETLK, &lock) == 0) return;
    if (errno != EAGAIN && errno != EACCES)
        refuse(fmt::format("cannot be locked: {}", std::strerror(errno)));
    const auto pid = user().value_or(0);
    refuse(fmt::format("{} uses it; stop that one first",
                       pid > 0 ? fmt::format("the process with pid {}", pid) : "another process"));
}

std::span<const StateRecord> StateView::records() const {
    const bool known = kind_ == StateKind::adoptable || kind_ == StateKind::other_boot;
    // A file of another boot has not been measured.
    if (!known || header().records > (size_ - state_records_at) / sizeof(StateRecord)) return {};
    return {reinterpret_cast<const StateRecord*>(data_ + state_records_at), header().records};
}

bool is_state_there(const std::string& path) {
    struct stat file {};
    return ::lstat(path.c_str(), &file) == 0;
}

bool may_live(const StateRecord& record) {
    const FlowStatus status = record.status.load(std::memory_order_relaxed);
    return status == FlowStatus::live || status == FlowStatus::ending;
}

StateCounts count_records(const StateView& view) {
    StateCounts counts;
    for (const StateRecord& record : view.records()) {
        const auto status = static_cast<std::size_t>(record.status.load(std::memory_order_relaxed));
        if (status < counts.by_status.size()) ++counts.by_status[status];
        if (!may_live(record)) continue;
        switch (record.tuples[0].reserved) {
            case 0:
                ++counts.flows;
                break;
            case nat::wildcard::remote:
                ++counts.mappings;
                break;
            case nat::wildcard::remote_port:
                ++counts.permissions;
                break;
            default:
                ++counts.incarnations;
                break;
        }
    }
    return counts;
}

void remove_state(const std::string& path) {
    StateView view(path);
    view.hold();
    if (view.kind() == StateKind::foreign) view.refuse("it is no state file of noclash");
    if (::unlink(path.c_str()) != 0) view.refuse(std::strerror(errno));
    ::unlink(kept_policy_path(path).c_str());
}

}  // namespace noclash::dpdk
