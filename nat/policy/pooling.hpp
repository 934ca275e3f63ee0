// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "engine/base/random.hpp"
#include "engine/base/siphash.hpp"

namespace noclash::nat {

/// Which addresses of a pool the flows of one inside host get (RFC 4787, section 4.1).
enum class Pooling : std::uint8_t {
    paired,     ///< the same one always: [RFC 4787 REQ-2], and the default of [RFC 6888 REQ-2]
    arbitrary,  ///< any of them, for each flow anew
};

/// Pairs inside hosts with the addresses of a pool. Nothing is remembered: the address follows from
/// the host's by a keyed hash, so it is the same on every worker, for every protocol, and for as
/// long as the daemon runs and the pool stays as it is. The key is new for each pool and start, so
/// that nobody can tell from some pairs who else shares an address, or choose to.
///
/// A host stays with its address when no port of it is free towards a destination, as
/// [RFC 4787 REQ-2] means it: its next flow is refused, though other addresses may have ports.
/// (Moving the host would break the applications for whose sake it is paired.)
class Pairing {
  public:
    using Key = std::array<std::uint64_t, 2>;

    Pairing() { random_bytes(key_.data(), sizeof key_); }
    /// With the key of an earlier one, of another process: hosts keep their addresses.
    explicit Pairing(const Key& key) : key_(key) {}
    [[nodiscard]] const Key& key() const { return key_; }

    /// The number of the address that `inside` is paired with, out of `count`, at most 65,536.
    /// Uniform over hosts: no address is more likely than another by more than one in 65,536.
    template <class Address>
    [[nodiscard]] std::uint32_t choose(const Address& inside, std::size_t count) const {
        std::array<std::uint8_t, sizeof inside> bytes;
        std::memcpy(bytes.data(), &inside, sizeof inside);
        return static_cast<std::uint32_t>((siphash(key_, bytes) >> 32U) * count >> 32U);
    }

  private:
    Key key_{};
};

}  // namespace noclash::nat
