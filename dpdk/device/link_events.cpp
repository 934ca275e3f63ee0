// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/link_events.hpp"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace noclash::dpdk {

namespace {

// linux/if.h, which has it, and net/if.h exclude each other.
constexpr unsigned lower_up = 1U << 16;
constexpr std::size_t message_bytes = 32768;  // the kernel's largest
constexpr int backlog_bytes = 1 << 20;        // of news, while the monitor opens a device

int take_attribute(const nlattr* attribute, void* into) {
    auto& news = *static_cast<LinkNews*>(into);
    switch (mnl_attr_get_type(attribute)) {
        case IFLA_IFNAME:
            if (mnl_attr_validate(attribute, MNL_TYPE_STRING) >= 0)
                news.name = mnl_attr_get_str(attribute);
            break;
        case IFLA_ADDRESS:
            if (nat::MacAddress mac; mnl_attr_get_payload_len(attribute) == mac.bytes.size()) {
                std::memcpy(mac.bytes.data(), mnl_attr_get_payload(attribute), mac.bytes.size());
                news.mac = mac;
            }
            break;
        case IFLA_STATS64: {
            rtnl_link_stats64 stats{};
            std::memcpy(&stats, mnl_attr_get_payload(attribute),
                        std::min<std::size_t>(sizeof stats, mnl_attr_get_payload_len(attribute)));
            news.losses = {stats.rx_dropped + stats.rx_missed_errors, stats.rx_errors,
                           stats.tx_dropped, stats.tx_errors};
            break;
        }
        default:
            break;
    }
    return MNL_CB_OK;
}

using Each = std::function<void(const LinkNews&)>;

int take_message(const nlmsghdr* message, void* each) {
    if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK) return MNL_CB_OK;
    const auto* link = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
    // A bridge tells in the same words that an interface is no longer its port.
    if (link->ifi_family != AF_UNSPEC) return MNL_CB_OK;
    LinkNews news;
    news.index = static_cast<unsigned>(link->ifi_index);
    news.exists = message->nlmsg_type == RTM_NEWLINK;
    news.up = news.exists && (link->ifi_flags & IFF_UP) != 0 && (link->ifi_flags & lower_up) != 0;
    mnl_attr_parse(message, sizeof *link, take_attribute, &news);
    (*static_cast<const Each*>(each))(news);
    return MNL_CB_OK;
}

[[noreturn]] void fail(const char* what) {
    throw std::runtime_error(fmt::format("netlink: {}: {}", what, std::strerror(errno)));
}

}  // namespace

void LinkEvents::Close::operator()(mnl_socket* socket) const {
    mnl_socket_close(socket);
}

LinkEvents::Socket LinkEvents::open(unsigned groups) {
    Socket socket(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC));
    if (!socket) fail("socket");
    if (mnl_socket_bind(socket.get(), groups, MNL_SOCKET_AUTOPID) < 0) fail("bind");
    return socket;
}

LinkEvents::LinkEvents() : events_(open(RTMGRP_LINK)), questions_(open(0)) {
    // Beyond the system's limit for others; without the right to it, the limit remains.
    ::setsockopt(descriptor(), SOL_SOCKET, SO_RCVBUFFORCE, &backlog_bytes, sizeof backlog_bytes);
}

int LinkEvents::descriptor() const {
    return mnl_socket_get_fd(events_.get());
}

bool LinkEvents::read(const Each& each) {
    std::array<char, message_bytes> buffer{};
    bool complete = true;
    for (;;) {
        const ssize_t length = ::recv(descriptor(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (length < 0 && errno == EINTR) continue;
        if (length < 0 && errno == ENOBUFS) {
            complete = false;
            continue;
        }
        if (length <= 0) return complete;
        mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), 0, 0, take_message,
                   const_cast<Each*>(&each));
    }
}

std::optional<LinkNews> LinkEvents::ask(unsigned interface_index) {
    std::array<char, message_bytes> buffer{};
    nlmsghdr* question = mnl_nlmsg_put_header(buffer.data());
    question->nlmsg_type = RTM_GETLINK;
    question->nlmsg_flags = NLM_F_REQUEST;
    question->nlmsg_seq = ++sequence_;
    auto* link = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(question, sizeof(ifinfomsg)));
    link->ifi_family = AF_UNSPEC;
    link->ifi_index = static_cast<int>(interface_index);
    if (mnl_socket_sendto(questions_.get(), question, question->nlmsg_len) < 0) return {};
    LinkNews answer;
    const Each keep = [&](const LinkNews& news) { answer = news; };
    for (;;) {
        const ssize_t length = mnl_socket_recvfrom(questions_.get(), buffer.data(), buffer.size());
        if (length <= 0) return {};
        const int done = mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), sequence_,
                                    mnl_socket_get_portid(questions_.get()), take_message,
                                    const_cast<Each*>(&keep));
        if (done >= 0 || errno == ENODEV) return answer;
        if (errno != EPROTO) return {};  // that is the answer to an earlier question
    }
}

}  // namespace noclash::dpdk
