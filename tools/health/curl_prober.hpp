// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "tools/health/event_loop.hpp"
#include "tools/health/prober.hpp"

namespace noclash::health {

/// Checks of the kinds tcp, http and https, by libcurl's multi interface. Each check has a
/// connection of its own. Proxies and other settings of the environment do not count.
class CurlProber : public Prober, private Watcher {
  public:
    /// @throws std::runtime_error when libcurl cannot start
    CurlProber(EventLoop& loop, OnEnd on_end);
    ~CurlProber() override;

    void start(TargetId id, const Check& check, const Endpoint& endpoint) override;
    [[nodiscard]] std::uint64_t wake_ns() const override { return wake_ns_; }
    void on_time(std::uint64_t now_ns) override;

  private:
    struct Transfer;

    void on_ready(int fd, std::uint32_t events) override;
    static int on_socket(CURL* easy, curl_socket_t fd, int what, void* prober, void*);
    static int on_timer(CURLM* multi, long timeout_ms, void* prober);
    void collect();
    void end(Transfer& transfer, CURLcode code);

    EventLoop& loop_;
    OnEnd on_end_;
    CURLM* multi_;
    std::uint64_t wake_ns_ = UINT64_MAX;
    std::unordered_map<Transfer*, std::unique_ptr<Transfer>> running_;
    std::vector<std::unique_ptr<Transfer>> idle_;  ///< to be used again
};

}  // namespace noclash::health
