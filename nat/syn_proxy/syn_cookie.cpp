// SPDX-License-Identifier: Apache-2.0
#include "nat/syn_proxy/syn_cookie.hpp"

#include <algorithm>
#include <cstring>

#include "engine/base/siphash.hpp"

namespace noclash::nat {

namespace {

constexpr std::uint32_t size_bits = 3, size_mask = (1U << size_bits) - 1;

// In the low bits of a TSval:
constexpr std::uint32_t detail_bits = 9, detail_mask = (1U << detail_bits) - 1;
constexpr std::uint32_t sack_bit = 1U << 4U, offered_shift = 5;
/// Of a client without timestamps, whose details are known.
constexpr std::uint32_t plain_details = no_window_scale | unsigned{no_window_scale}
                                                              << offered_shift;

template <class Family>
std::uint32_t size_index(std::uint16_t max_segment_size) {
    const auto& sizes = SynCookies<Family>::segment_sizes;
    const auto above = std::ranges::upper_bound(sizes, max_segment_size);
    return above == sizes.begin() ? 0U : static_cast<std::uint32_t>(above - sizes.begin() - 1);
}

}  // namespace

template <class Family>
SynCookies<Family>::SynCookies(const Key& master) {
    for (std::uint8_t half = 0; half < 2; ++half) {
        const std::array<std::uint8_t, 12> label{'s', 'y', 'n', ' ', 'c', 'o',
                                                 'o', 'k', 'i', 'e', ' ', half};
        key_[half] = siphash(master, label);
    }
}

template <class Family>
CookieAnswer SynCookies<Family>::answer(const Tuple<Family>& original, std::uint32_t sequence,
                                        const SynOptions& syn, const SynOffer& offer,
                                        std::uint64_t now_ms) const {
    CookieAnswer answer;
    SynOptions& options = answer.options;
    options.max_segment_size = offer.max_segment_size;
    std::uint32_t details = plain_details;
    if (syn.timestamps && offer.timestamps) {
        options.timestamps = true;
        options.timestamp_echo = syn.timestamp_value;
        options.sack = syn.sack && offer.sack;
        if (syn.window_scale != no_window_scale) options.window_scale = offer.window_scale;
        const std::uint8_t scale =
            options.window_scale == no_window_scale ? no_window_scale : syn.window_scale;
        details = scale | (options.sack ? sack_bit : 0) |
                  std::uint32_t{options.window_scale} << offered_shift;
        options.timestamp_value = (static_cast<std::uint32_t>(now_ms) & ~detail_mask) | details;
    }
    const std::uint32_t index = size_index<Family>(syn.max_segment_size);
    answer.cookie =
        hash(original, sequence, details << size_bits | index, now_ms >> period_bits) | index;
    return answer;
}

template <class Family>
std::optional<ProxiedOpening> SynCookies<Family>::read(const Tuple<Family>& original,
                                                       const TcpSegment& ack,
                                                       const SynOptions& options,
                                                       std::uint64_t now_ms) const {
    const std::uint32_t cookie = ack.acknowledgment - 1;
    const std::uint32_t index = cookie & size_mask;
    const std::uint32_t details =
        options.timestamps ? options.timestamp_echo & detail_mask : plain_details;
    const std::uint64_t period = now_ms >> period_bits;
    for (const std::uint32_t sequence : {ack.sequence - 1, ack.sequence}) {
        for (const std::uint64_t of : {period, period - 1}) {
            if ((hash(original, sequence, details << size_bits | index, of) | index) != cookie)
                continue;
            ProxiedOpening opening;
            opening.client_sequence = sequence;
            opening.cookie = cookie;
            opening.client = options;
            opening.client.max_segment_size = segment_sizes[index];
            opening.client.window_scale = static_cast<std::uint8_t>(details & 15U);
            opening.client.sack = (details & sack_bit) != 0;
            opening.offered_scale = static_cast<std::uint8_t>(details >> offered_shift & 15U);
            return opening;
        }
    }
    return std::nullopt;
}

template <class Family>
std::uint32_t SynCookies<Family>::hash(const Tuple<Family>& original, std::uint32_t sequence,
                                       std::uint32_t details, std::uint64_t period) const {
    std::array<std::uint8_t, sizeof original + 2 * sizeof(std::uint32_t) + sizeof period> bytes{};
    std::uint8_t* at = bytes.data();
    const auto put = [&at](const auto& value) {
        std::memcpy(at, &value, sizeof value);
        at += sizeof value;
    };
    put(original);
    put(sequence);
    put(details);
    put(period);
    return static_cast<std::uint32_t>(siphash(key_, bytes)) & ~size_mask;
}

template class SynCookies<V4>;

}  // namespace noclash::nat
