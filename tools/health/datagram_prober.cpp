// SPDX-License-Identifier: Apache-2.0
#include "tools/health/datagram_prober.hpp"

#include <linux/icmp.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/random.hpp"
#include "tools/health/dns_message.hpp"
#include "tools/health/echo_message.hpp"
#include "tools/health/socket.hpp"

namespace noclash::health {

namespace {

constexpr int socket_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;

using Bytes = std::span<const std::uint8_t>;

/// Every packet to our raw socket is a copy of one for all: those that are no reply stay away.
void take_replies_only(int fd) {
    icmp_filter filter{};
    filter.data = ~(1U << static_cast<unsigned>(ICMP_ECHOREPLY));
    ::setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
}

}  // namespace

/// What makes a packet the answer, and what it says.
class DnsTalk {
  public:
    explicit DnsTalk(const Check& check) : nxdomain_(check.nxdomain) {
        std::uint16_t id = 0;
        random_bytes(&id, sizeof id);
        query_ = dns_query(id, check.question);
    }
    [[nodiscard]] Bytes request() const { return query_; }
    /// The outcome, or nothing when `packet` is something else.
    [[nodiscard]] std::optional<Outcome> judge(Bytes packet) const {
        const auto code = dns_answer(packet, query_);
        if (!code) return std::nullopt;
        const bool fit =
            *code == dns_rcode::no_error || (nxdomain_ && *code == dns_rcode::name_error);
        return Outcome{fit, "DNS answer " + dns_rcode_text(*code), 0};
    }

  private:
    bool nxdomain_;
    std::vector<std::uint8_t> query_;
};

class EchoTalk {
  public:
    explicit EchoTalk(IpHeader header) : header_(header) {
        std::uint16_t id = 0;
        random_bytes(&id, sizeof id);
        random_bytes(token_.data(), token_.size());
        request_ = echo_request(id, token_);
    }
    [[nodiscard]] Bytes request() const { return request_; }
    [[nodiscard]] std::optional<Outcome> judge(Bytes packet) const {
        if (!is_echo_reply(packet, header_, token_)) return std::nullopt;
        return Outcome{true, "echo reply", 0};
    }

  private:
    IpHeader header_;
    EchoToken token_{};
    EchoMessage request_{};
};

struct DatagramProber::Exchange {
    TargetId id;
    const Check* check;
    std::uint64_t begun_ns;
    std::variant<DnsTalk, EchoTalk> talk;
    Deadlines::iterator deadline;
};

DatagramProber::DatagramProber(EventLoop& loop, OnEnd on_end)
    : loop_(loop), on_end_(std::move(on_end)) {}

DatagramProber::~DatagramProber() {
    for (const auto& [fd, exchange] : exchanges_) {
        loop_.unwatch(fd);
        ::close(fd);
    }
}

void DatagramProber::start(TargetId id, const Check& check, const Endpoint& endpoint) {
    IpHeader header = IpHeader::absent;
    int fd = -1;
    if (check.kind == Kind::dns) {
        fd = ::socket(AF_INET, SOCK_DGRAM | socket_flags, 0);
    } else {
        fd = ::socket(AF_INET, SOCK_DGRAM | socket_flags, IPPROTO_ICMP);
        if (fd < 0 && errno == EACCES) {  // net.ipv4.ping_group_range leaves our group out
            header = IpHeader::present;
            fd = ::socket(AF_INET, SOCK_RAW | socket_flags, IPPROTO_ICMP);
            if (fd >= 0) take_replies_only(fd);
        }
    }
    if (fd < 0) return on_end_(id, {false, "socket: " + error_text(errno), 0});

    const std::uint64_t begun_ns = now_ns();
    const auto deadline = deadlines_.emplace(begun_ns + check.timeout_ms * ms_ns, fd);
    const auto talk = check.kind == Kind::dns ? std::variant<DnsTalk, EchoTalk>(DnsTalk(check))
                                              : std::variant<DnsTalk, EchoTalk>(EchoTalk(header));
    exchanges_.insert_or_assign(fd, Exchange{id, &check, begun_ns, talk, deadline});

    if (auto fault = bind_to_source(fd, check)) return end(fd, false, std::move(*fault));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(endpoint.address.value.host());
    address.sin_port = htons(endpoint.port);
    const Bytes request = std::visit([](const auto& is) { return is.request(); }, talk);
    const bool sent =
        ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::send(fd, request.data(), request.size(), 0) >= 0;
    if (!sent || !loop_.watch(fd, EPOLLIN, *this)) end(fd, false, error_text(errno));
}

void DatagramProber::on_ready(int fd, std::uint32_t) {
    const auto found = exchanges_.find(fd);
    if (found == exchanges_.end()) return;
    std::array<std::uint8_t, 4096> packet{};
    const ssize_t got = ::recv(fd, packet.data(), packet.size(), 0);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) end(fd, false, error_text(errno));
        return;
    }
    const Bytes bytes(packet.data(), static_cast<std::size_t>(got));
    auto outcome =
        std::visit([bytes](const auto& is) { return is.judge(bytes); }, found->second.talk);
    if (outcome) end(fd, outcome->success, std::move(outcome->words));
}

std::uint64_t DatagramProber::wake_ns() const {
    return deadlines_.empty() ? UINT64_MAX : deadlines_.begin()->first;
}

void DatagramProber::on_time(std::uint64_t now_ns) {
    while (!deadlines_.empty() && deadlines_.begin()->first <= now_ns) {
        const int fd = deadlines_.begin()->second;
        end(fd, false, silence_text("answer", *exchanges_.at(fd).check));
    }
}

void DatagramProber::end(int fd, bool success, std::string words) {
    const Exchange exchange = std::move(exchanges_.extract(fd).mapped());
    deadlines_.erase(exchange.deadline);
    loop_.unwatch(fd);
    ::close(fd);
    on_end_(exchange.id, {success, std::move(words), now_ns() - exchange.begun_ns});
}

}  // namespace noclash::health
