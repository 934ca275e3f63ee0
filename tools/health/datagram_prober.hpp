// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>

#include "tools/health/event_loop.hpp"
#include "tools/health/prober.hpp"

namespace noclash::health {

/// Checks of the kinds dns (over UDP) and icmp: one packet is sent, one that answers it is awaited,
/// all others are ignored. Nothing is sent twice: a lost packet is one failure, and `fall` says how
/// many matter.
class DatagramProber : public Prober, private Watcher {
  public:
    DatagramProber(EventLoop& loop, OnEnd on_end);
    ~DatagramProber() override;

    void start(TargetId id, const Check& check, const Endpoint& endpoint) override;
    [[nodiscard]] std::uint64_t wake_ns() const override;
    void on_time(std::uint64_t now_ns) override;

  private:
    struct Exchange;
    using Deadlines = std::multimap<std::uint64_t, int>;  ///< descriptors by the end of their time

    void on_ready(int fd, std::uint32_t events) override;
    void end(int fd, bool success, std::string words);

    EventLoop& loop_;
    OnEnd on_end_;
    std::unordered_map<int, Exchange> exchanges_;  ///< by descriptor
    Deadlines deadlines_;
};

}  // namespace noclash::health
