// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <string>

#include "dpdk/state/state_header.hpp"

namespace noclash::dpdk::test {

/// A directory on a tmpfs for each test: state files may lie nowhere else.
class StateDirectory : public testing::Test {
  protected:
    StateDirectory() {
        std::string name = "/dev/shm/noclash-test-XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no directory in /dev/shm";
        directory_ = name;
    }
    ~StateDirectory() override {
        std::error_code error;
        std::filesystem::remove_all(directory_, error);
    }

    [[nodiscard]] const std::string& directory() const { return directory_; }
    [[nodiscard]] std::string path(const std::string& name = "x.state") const {
        return directory_ + "/" + name;
    }

  private:
    std::string directory_;
};

/// What `work` is refused with; empty: it is not.
inline std::string refusal(const std::function<void()>& work) {
    try {
        work();
    } catch (const std::exception& error) {
        return error.what();
    }
    return {};
}

/// A process that does `work` until it is killed.
class Child {
  public:
    explicit Child(const std::function<void()>& work) : pid_(::fork()) {
        if (pid_ != 0) return;
        try {
            work();
        } catch (...) {
            ::_exit(1);
        }
        ::_exit(0);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() { kill(); }

    [[nodiscard]] pid_t pid() const { return pid_; }
    /// How it ended, as waitpid() has it: it may have ended itself.
    int kill() {
        int status = 0;
        if (pid_ <= 0) return status;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
        return status;
    }

  private:
    pid_t pid_;
};

/// A flow that is known by its number.
inline void put_flow(StateRecord& record, std::uint16_t number) {
    record.tuples[0].source_port = Be16::from_host(number);
    record.rule = number;
    record.status.store(FlowStatus::live);
}
inline bool is_flow(const StateRecord& record, std::uint16_t number) {
    return record.status.load() == FlowStatus::live && record.rule == number &&
           record.tuples[0].source_port == Be16::from_host(number);
}

}  // namespace noclash::dpdk::test
