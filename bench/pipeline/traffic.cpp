// SPDX-License-Identifier: Apache-2.0
#include "bench/pipeline/cases.hpp"

namespace noclash::bench {
namespace {

constexpr std::uint8_t data_segment = nat::tcp_flag::ack | nat::tcp_flag::psh;

/// splitmix64.
std::uint64_t mixed(std::uint64_t i) {
    i += 0x9e3779b97f4a7c15ULL;
    i = (i ^ (i >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    i = (i ^ (i >> 27U)) * 0x94d049bb133111ebULL;
    return i ^ (i >> 31U);
}

}  // namespace

Traffic opening(const Flows& flows, std::uint32_t first, std::uint8_t tcp_flags) {
    return [=](unsigned, std::uint64_t i) {
        const auto number = static_cast<std::uint32_t>(first + i);
        return Sending{Side::inside, flows.original(number), {number, tcp_flags}};
    };
}

Traffic answering(const Translations& translations) {
    return [&translations](unsigned, std::uint64_t i) {
        const auto number = static_cast<std::uint32_t>(i);
        return Sending{Side::outside,
                       translations.answer(number),
                       {number, nat::tcp_flag::syn | nat::tcp_flag::ack}};
    };
}

Traffic established(const Translations& translations, std::uint32_t count, Way way) {
    return [&translations, count, way](unsigned worker, std::uint64_t i) {
        const std::uint64_t random = mixed(i + (std::uint64_t{worker} << 48U));
        const auto number = static_cast<std::uint32_t>((random >> 32U) * count >> 32U);
        const bool outward = way == Way::out || (way == Way::both && (random & 1U) == 0);
        const Content content{number, data_segment};
        if (outward) return Sending{Side::inside, translations.flows().original(number), content};
        return Sending{Side::outside, translations.answer(number), content};
    };
}

void establish(Trial& trial, const Translations& translations) {
    const std::uint32_t count = translations.size();
    trial.verify(1, count, opening(translations.flows()));
    translations.check_unique();
    trial.verify(1, count, answering(translations));
    trial.verify(1, count, opening(translations.flows(), 0, nat::tcp_flag::ack));
}

}  // namespace noclash::bench
