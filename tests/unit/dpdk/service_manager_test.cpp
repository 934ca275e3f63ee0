// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/service_manager.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace noclash::dpdk::service_manager_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::SizeIs;

using Rounds = std::array<std::uint64_t, 2>;

/// Listens as systemd does; the environment says so while it lives.
class Systemd {
  public:
    explicit Systemd(const char* watchdog_us = nullptr)
        : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        const std::string name = "@noclash/service_manager_test/" + std::to_string(::getpid());
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path + 1, name.data() + 1, name.size() - 1);
        const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
        EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), length), 0);
        ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
        ::unsetenv("WATCHDOG_PID");
        if (watchdog_us != nullptr) ::setenv("WATCHDOG_USEC", watchdog_us, 1);
    }
    Systemd(const Systemd&) = delete;
    Systemd& operator=(const Systemd&) = delete;
    ~Systemd() {
        ::unsetenv("NOTIFY_SOCKET");
        ::unsetenv("WATCHDOG_USEC");
        ::close(socket_);
    }

    /// What it was told since the last call.
    std::vector<std::string> heard() const {
        std::vector<std::string> messages;
        std::array<char, 4096> bytes{};
        for (;;) {
            const ssize_t size = ::recv(socket_, bytes.data(), bytes.size(), 0);
            if (size < 0) return messages;
            messages.emplace_back(bytes.data(), static_cast<std::size_t>(size));
        }
    }

  private:
    int socket_;
};

TEST(ServiceManager, IsReadyOnceEachWorkerHasBegunARound) {
    const Systemd systemd;
    ServiceManager manager("forwarding");
    manager.look(Rounds{0, 0}, 10);
    manager.look(Rounds{0, 11}, 11);
    EXPECT_THAT(systemd.heard(), IsEmpty());
    const std::uint64_t before = manager.most_pause_ms();
    manager.look(Rounds{12, 11}, 12);
    EXPECT_THAT(systemd.heard(), ElementsAre("READY=1\nSTATUS=forwarding"));
    EXPECT_LT(before, manager.most_pause_ms());
    manager.look(Rounds{13, 13}, 13);
    EXPECT_THAT(systemd.heard(), IsEmpty());
}

TEST(ServiceManager, FeedsTheWatchdogWhileWorkersGoOn) {
    const Systemd systemd("800000");
    ServiceManager manager("");
    manager.look(Rounds{10, 10}, 10);
    EXPECT_THAT(systemd.heard(), SizeIs(1));
    EXPECT_EQ(manager.most_pause_ms(), 100U);
    manager.look(Rounds{209, 209}, 209);
    EXPECT_THAT(systemd.heard(), IsEmpty());
    manager.look(Rounds{210, 210}, 210);
    EXPECT_THAT(systemd.heard(), ElementsAre("WATCHDOG=1"));
    for (std::uint64_t now = 310; now < 2000; now += 100)
        manager.look(Rounds{now, 210}, now);
    EXPECT_THAT(systemd.heard(), IsEmpty());
    manager.look(Rounds{2000, 2000}, 2000);
    EXPECT_THAT(systemd.heard(), ElementsAre("WATCHDOG=1"));
}

TEST(ServiceManager, TellsOfReloadsAndOfTheEnd) {
    const Systemd systemd;
    ServiceManager manager("forwarding");
    manager.look(Rounds{1, 1}, 1);
    EXPECT_THAT(systemd.heard(), SizeIs(1));
    manager.reloading();
    EXPECT_THAT(systemd.heard(), ElementsAre(MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+")));
    manager.reloaded("a.toml:1: one\na.toml:2: two");
    EXPECT_THAT(systemd.heard(), ElementsAre("READY=1\nSTATUS=a.toml:1: one; a.toml:2: two"));
    manager.stopping();
    EXPECT_THAT(systemd.heard(), ElementsAre("STOPPING=1\nSTATUS=stopping"));
}

TEST(ServiceManager, SaysNothingOfReloadsBeforeItIsReady) {
    const Systemd systemd;
    ServiceManager manager("forwarding");
    manager.reloading();
    manager.reloaded("reloaded");
    EXPECT_THAT(systemd.heard(), IsEmpty());
    manager.look(Rounds{1, 1}, 1);
    EXPECT_THAT(systemd.heard(), ElementsAre("READY=1\nSTATUS=reloaded"));
}

TEST(ServiceManager, DoesNothingWithoutOne) {
    ::setenv("WATCHDOG_USEC", "1000", 1);
    ServiceManager manager("forwarding");
    ::unsetenv("WATCHDOG_USEC");
    EXPECT_EQ(manager.most_pause_ms(), 1000U);
    manager.look(Rounds{1, 1}, 1);
    manager.look(Rounds{1, 1}, 100'000);
    manager.reloading();
    manager.reloaded("");
    manager.stopping();
    EXPECT_EQ(manager.most_pause_ms(), 1000U);
}

TEST(ServiceManager, GoesOnWhenItCannotBeTold) {
    ::setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
    ServiceManager manager("forwarding");
    manager.look(Rounds{1, 1}, 1);
    EXPECT_EQ(manager.most_pause_ms(), 1000U);
    manager.stopping();
    ::unsetenv("NOTIFY_SOCKET");
}

TEST(StatusLine, IsOneLine) {
    EXPECT_EQ(status_line("one\n"), "one");
    EXPECT_EQ(status_line("one\nREADY=1\n\n"), "one; READY=1");
}

TEST(StatusLine, IsCutBetweenCharacters) {
    EXPECT_EQ(status_line(std::string(1000, 'x')), std::string(1000, 'x'));
    const std::string cut = status_line(std::string(999, 'x') + "\u00fc\u00fc");
    EXPECT_EQ(cut, std::string(999, 'x') + "...");
}

}  // namespace
}  // namespace noclash::dpdk::service_manager_test
