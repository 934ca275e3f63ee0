// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/address.hpp"
#include "nat/packet/arp.hpp"

namespace noclash::cpsload {

/// Addresses that follow one another.
struct AddressRange {
    V4Address first;
    std::uint32_t count = 1;

    [[nodiscard]] bool contains(V4Address address) const {
        return address.value.host() - first.value.host() < count;
    }
    [[nodiscard]] V4Address at(std::uint32_t index) const {
        return V4Address::from_host(first.value.host() + index);
    }
};

/// One side of the tester as its link sees it: a host with many addresses, and a gateway. No kernel
/// address is needed, and none may be there: the kernel would answer for it, too.
///
/// Before the traffic starts each address on the link asks for the gateway. So the gateway knows
/// them all, and no first packet has to wait for it to ask. One thread.
class Station {
  public:
    /// Addresses outside of `link` are reached through the others: nobody asks for them.
    Station(const nat::MacAddress& mac, Prefix<V4> link, std::vector<AddressRange> own,
            V4Address gateway);

    /// At one end of a wire that needs no ARP.
    Station(const nat::MacAddress& mac, const nat::MacAddress& peer)
        : mac_(mac), gateway_mac_(peer) {}

    /// @returns the answer to an ARP message, if it needs one
    [[nodiscard]] std::optional<nat::ArpMessage> receive(const nat::ArpMessage& message);

    /// Requests to be broadcast, at most `most`, of addresses that the gateway did not answer yet;
    /// the next call goes on behind them.
    [[nodiscard]] std::vector<nat::ArpMessage> introductions(std::size_t most);
    [[nodiscard]] bool introduced() const { return silent_ == 0; }
    /// An address that the gateway does not answer.
    [[nodiscard]] std::optional<V4Address> unanswered() const;

    [[nodiscard]] const nat::MacAddress& mac() const { return mac_; }
    [[nodiscard]] V4Address gateway() const { return gateway_; }
    /// Valid once `introduced`.
    [[nodiscard]] const nat::MacAddress& gateway_mac() const { return gateway_mac_; }

  private:
    struct Introduction {
        V4Address address;
        bool answered = false;
    };
    static std::uint32_t number_of(const Introduction& one) { return one.address.value.host(); }

    nat::MacAddress mac_;
    std::vector<AddressRange> own_;
    V4Address gateway_;
    nat::MacAddress gateway_mac_;
    std::vector<Introduction> on_link_;  // by address
    std::size_t silent_ = 0;             // addresses on the link without an answer
    std::size_t next_ = 0;               // to introduce
};

}  // namespace noclash::cpsload
