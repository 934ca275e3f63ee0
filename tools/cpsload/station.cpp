// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/station.hpp"

#include <algorithm>

namespace noclash::cpsload {

Station::Station(const nat::MacAddress& mac, Prefix<V4> link, std::vector<AddressRange> own,
                 V4Address gateway)
    : mac_(mac), own_(std::move(own)), gateway_(gateway) {
    for (const AddressRange& range : own_)
        for (std::uint32_t i = 0; i < range.count; ++i)
            if (link.contains(range.at(i))) on_link_.push_back({range.at(i)});
    // Ranges may overlap: a source may be the side's own address.
    std::ranges::sort(on_link_, {}, number_of);
    const auto same = [](const Introduction& one, const Introduction& other) {
        return one.address == other.address;
    };
    on_link_.erase(std::unique(on_link_.begin(), on_link_.end(), same), on_link_.end());
    silent_ = on_link_.size();
}

std::optional<nat::ArpMessage> Station::receive(const nat::ArpMessage& message) {
    const bool ours = std::ranges::any_of(
        own_, [&](const AddressRange& range) { return range.contains(message.target_ip); });
    if (message.sender_ip == gateway_) {
        gateway_mac_ = message.sender_mac;
        if (message.operation == nat::ArpOperation::reply) {
            const auto asked =
                std::ranges::lower_bound(on_link_, message.target_ip.value.host(), {}, number_of);
            if (asked != on_link_.end() && asked->address == message.target_ip &&
                !asked->answered) {
                asked->answered = true;
                --silent_;
            }
        }
    }
    if (!ours || message.operation != nat::ArpOperation::request) return std::nullopt;
    return nat::arp_reply(message, mac_);
}

std::vector<nat::ArpMessage> Station::introductions(std::size_t most) {
    std::vector<nat::ArpMessage> messages;
    for (std::size_t i = 0; i < on_link_.size() && messages.size() < most; ++i) {
        const Introduction& one = on_link_[next_];
        next_ = (next_ + 1) % on_link_.size();
        if (!one.answered) messages.push_back(nat::arp_request(mac_, one.address, gateway_));
    }
    return messages;
}

std::optional<V4Address> Station::unanswered() const {
    const auto silent = std::ranges::find(on_link_, false, &Introduction::answered);
    if (silent == on_link_.end()) return std::nullopt;
    return silent->address;
}

}  // namespace noclash::cpsload
