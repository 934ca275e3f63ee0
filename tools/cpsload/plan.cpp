// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/plan.hpp"

#include <numeric>

namespace noclash::cpsload {
namespace {

constexpr int looks = 256;  // at tuples in use, before the opening is put off

/// Numbers that look random and are the same in every run.
std::uint32_t scrambled(std::uint32_t number) {
    number = (number ^ (number >> 16U)) * 0x7feb352dU;
    number = (number ^ (number >> 15U)) * 0x846ca68bU;
    return number ^ (number >> 16U);
}

std::uint32_t stride_of(std::uint32_t source, std::uint32_t ports) {
    std::uint32_t stride = scrambled(source + 1) % ports;
    while (std::gcd(stride, ports) != 1)
        stride = stride % ports + 1;
    return stride;
}

}  // namespace

std::uint64_t Plan::tuples(const Settings& settings, const Traffic& traffic) {
    const std::uint64_t ports = settings.last_port - settings.first_port + 1U;
    return ports * settings.sources * traffic.services.size();
}

Plan::Plan(const Settings& settings, const Traffic& traffic)
    : first_source_(settings.first_source),
      sources_(settings.sources),
      services_(static_cast<std::uint32_t>(traffic.services.size())),
      ports_(settings.last_port - settings.first_port + 1U),
      first_port_(settings.first_port),
      order_(settings.order),
      busy_((tuples(settings, traffic) + 63) / 64) {
    if (order_ == PortOrder::step) return;
    for (std::uint32_t source = 0; source < sources_; ++source)
        strides_.push_back(stride_of(source, ports_));
}

std::uint16_t Plan::port_of(std::uint32_t source) const {
    if (order_ == PortOrder::step) return static_cast<std::uint16_t>(first_port_ + port_);
    const std::uint64_t taken = std::uint64_t{port_} * strides_[source] + scrambled(source);
    return static_cast<std::uint16_t>(first_port_ + taken % ports_);
}

void Plan::advance() {
    ++number_;
    if (++source_ < sources_) return;
    source_ = 0;
    if (++service_ < services_) return;
    service_ = 0;
    if (++port_ < ports_) return;
    port_ = 0;
    number_ = 0;
}

std::optional<Pick> Plan::next() {
    for (int look = 0; look < looks; ++look, advance()) {
        std::uint64_t& word = busy_[number_ / 64];
        const std::uint64_t bit = 1ULL << number_ % 64;
        if ((word & bit) != 0) continue;
        word |= bit;
        const Pick pick{number_, V4Address::from_host(first_source_.value.host() + source_),
                        port_of(source_), static_cast<std::uint8_t>(service_)};
        advance();
        return pick;
    }
    return std::nullopt;
}

}  // namespace noclash::cpsload
