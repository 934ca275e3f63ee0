// SPDX-License-Identifier: Apache-2.0
#include "tools/health/curl_prober.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "tools/health/socket.hpp"

namespace noclash::health {

namespace {

// A check wants the status; a page that goes on for ever is not read to its end.
constexpr std::size_t most_body_bytes = 65536;

std::string url_of(const Check& check, const std::string& address, std::uint16_t port) {
    const std::string& host = check.host.empty() ? address : check.host;
    return fmt::format("{}://{}:{}{}", check.kind == Kind::https ? "https" : "http", host, port,
                       check.path);
}

}  // namespace

struct CurlProber::Transfer {
    Transfer() : easy(::curl_easy_init()) {
        if (easy == nullptr) throw std::runtime_error("libcurl: no memory");
    }
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    ~Transfer() {
        ::curl_easy_cleanup(easy);
        ::curl_slist_free_all(connect_to);
    }

    void prepare(TargetId target, const Check& how, const Endpoint& endpoint);
    [[nodiscard]] Outcome outcome(CURLcode code) const;
    [[nodiscard]] Outcome judge_status() const;
    [[nodiscard]] std::string failure(CURLcode code) const;

    static std::size_t on_body(char*, std::size_t size, std::size_t count, void* transfer);
    static int on_open(void* transfer, curl_socket_t fd, curlsocktype);

    template <class Value>
    void set(CURLoption option, Value value) {
        ::curl_easy_setopt(easy, option, value);
    }

    CURL* easy;
    curl_slist* connect_to = nullptr;
    TargetId id = 0;
    const Check* check = nullptr;
    std::uint64_t begun_ns = 0;
    std::size_t body_bytes = 0;
    std::string cannot_bind;
    std::array<char, CURL_ERROR_SIZE> error{};
};

void CurlProber::Transfer::prepare(TargetId target, const Check& how, const Endpoint& endpoint) {
    id = target;
    check = &how;
    begun_ns = now_ns();
    body_bytes = 0;
    cannot_bind.clear();
    error[0] = '\0';
    ::curl_slist_free_all(std::exchange(connect_to, nullptr));
    ::curl_easy_reset(easy);

    const std::string address = to_string<V4>(endpoint.address);
    set(CURLOPT_PRIVATE, this);
    set(CURLOPT_ERRORBUFFER, error.data());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROXY, "");
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(check->timeout_ms));
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(check->timeout_ms));
    // Addresses need no resolver; a cache of them would be searched through at each check.
    set(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    set(CURLOPT_FRESH_CONNECT, 1L);
    set(CURLOPT_FORBID_REUSE, 1L);
    set(CURLOPT_SOCKOPTFUNCTION, &Transfer::on_open);
    set(CURLOPT_SOCKOPTDATA, this);
    set(CURLOPT_URL, url_of(how, address, endpoint.port).c_str());
    if (how.kind == Kind::tcp) return set(CURLOPT_CONNECT_ONLY, 1L);

    // The host is for the server and its certificate: who is asked is the backend in any case.
    const std::string there = fmt::format("::{}:{}", address, endpoint.port);
    connect_to = ::curl_slist_append(nullptr, there.c_str());
    set(CURLOPT_CONNECT_TO, connect_to);
    set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    set(CURLOPT_HTTP09_ALLOWED, 0L);
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_USERAGENT, "noclash-health");
    set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_SSL_SESSIONID_CACHE, 0L);
    set(CURLOPT_SSL_VERIFYPEER, how.verify ? 1L : 0L);
    set(CURLOPT_SSL_VERIFYHOST, how.verify ? 2L : 0L);
    if (!how.ca_file.empty()) set(CURLOPT_CAINFO, how.ca_file.c_str());
}

std::size_t CurlProber::Transfer::on_body(char*, std::size_t size, std::size_t count,
                                          void* transfer) {
    auto& self = *static_cast<Transfer*>(transfer);
    self.body_bytes += size * count;
    return self.body_bytes > most_body_bytes ? 0 : size * count;  // 0 ends the transfer
}

int CurlProber::Transfer::on_open(void* transfer, curl_socket_t fd, curlsocktype) {
    auto& self = *static_cast<Transfer*>(transfer);
    auto fault = bind_to_source(fd, *self.check);
    if (!fault) return CURL_SOCKOPT_OK;
    self.cannot_bind = std::move(*fault);
    return CURL_SOCKOPT_ERROR;
}

Outcome CurlProber::Transfer::judge_status() const {
    long status = 0;
    ::curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    const bool fit = std::ranges::any_of(check->statuses, [status](const StatusRange& range) {
        return status >= range.first && status <= range.last;
    });
    return {fit,
            fit ? fmt::format("status {}", status)
                : fmt::format("status {}, expected {}", status, check->status_text),
            0};
}

std::string CurlProber::Transfer::failure(CURLcode code) const {
    if (!cannot_bind.empty()) return cannot_bind;
    if (code == CURLE_OPERATION_TIMEDOUT) {
        double connected_s = 0;
        ::curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME, &connected_s);
        return silence_text(connected_s > 0 ? "answer" : "connection", *check);
    }
    long number = 0;
    ::curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
    if (code == CURLE_COULDNT_CONNECT && number != 0) return error_text(static_cast<int>(number));
    return error[0] != '\0' ? error.data() : ::curl_easy_strerror(code);
}

Outcome CurlProber::Transfer::outcome(CURLcode code) const {
    const bool cut = code == CURLE_WRITE_ERROR && body_bytes > most_body_bytes;
    Outcome outcome{code == CURLE_OK, "connected", 0};
    if (code != CURLE_OK && !cut) {
        outcome.words = failure(code);
    } else if (check->kind != Kind::tcp) {
        outcome = judge_status();
    }
    outcome.took_ns = now_ns() - begun_ns;
    return outcome;
}

CurlProber::CurlProber(EventLoop& loop, OnEnd on_end) : loop_(loop), on_end_(std::move(on_end)) {
    if (::curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (multi_ = ::curl_multi_init()) == nullptr)
        throw std::runtime_error("libcurl cannot start");
    ::curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlProber::on_socket);
    ::curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    ::curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlProber::on_timer);
    ::curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
}

CurlProber::~CurlProber() {
    for (const auto& [transfer, owned] : running_)
        ::curl_multi_remove_handle(multi_, transfer->easy);
    running_.clear();
    idle_.clear();
    ::curl_multi_cleanup(multi_);
    ::curl_global_cleanup();
}

void CurlProber::start(TargetId id, const Check& check, const Endpoint& endpoint) {
    std::unique_ptr<Transfer> owned;
    if (idle_.empty()) {
        owned = std::make_unique<Transfer>();
    } else {
        owned = std::move(idle_.back());
        idle_.pop_back();
    }
    Transfer& transfer = *owned;
    transfer.prepare(id, check, endpoint);
    running_.emplace(&transfer, std::move(owned));
    const CURLMcode code = ::curl_multi_add_handle(multi_, transfer.easy);
    if (code == CURLM_OK) return;  // `on_timer` has asked for a call at once
    idle_.push_back(std::move(running_.extract(&transfer).mapped()));
    on_end_(id, {false, ::curl_multi_strerror(code), 0});
}

int CurlProber::on_socket(CURL*, curl_socket_t fd, int what, void* prober, void*) {
    auto& self = *static_cast<CurlProber*>(prober);
    if (what == CURL_POLL_REMOVE) {
        self.loop_.unwatch(fd);
        return 0;
    }
    const std::uint32_t in = (what & CURL_POLL_IN) != 0 ? EPOLLIN : 0U;
    const std::uint32_t out = (what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0U;
    return self.loop_.watch(fd, in | out, self) ? 0 : -1;
}

int CurlProber::on_timer(CURLM*, long timeout_ms, void* prober) {
    auto& self = *static_cast<CurlProber*>(prober);
    self.wake_ns_ =
        timeout_ms < 0 ? UINT64_MAX : now_ns() + static_cast<std::uint64_t>(timeout_ms) * ms_ns;
    return 0;
}

void CurlProber::on_ready(int fd, std::uint32_t events) {
    const int in = (events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0;
    const int out = (events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
    const int error = (events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0;
    int running = 0;
    ::curl_multi_socket_action(multi_, fd, in | out | error, &running);
    collect();
}

void CurlProber::on_time(std::uint64_t now_ns) {
    if (wake_ns_ > now_ns) return;
    wake_ns_ = UINT64_MAX;
    int running = 0;
    ::curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
    collect();
}

void CurlProber::collect() {
    int left = 0;
    while (const CURLMsg* message = ::curl_multi_info_read(multi_, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        const CURLcode code = message->data.result;
        Transfer* transfer = nullptr;
        ::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        end(*transfer, code);
    }
}

void CurlProber::end(Transfer& transfer, CURLcode code) {
    Outcome outcome = transfer.outcome(code);
    const TargetId id = transfer.id;
    ::curl_multi_remove_handle(multi_, transfer.easy);
    idle_.push_back(std::move(running_.extract(&transfer).mapped()));
    on_end_(id, std::move(outcome));
}

}  // namespace noclash::health
