// SPDX-License-Identifier: Apache-2.0
#include "dpdk/shortage_alarm.hpp"

#include <fmt/format.h>

namespace noclash::dpdk {

std::optional<std::string> ShortageAlarm::look(const Totals& totals, std::uint64_t now_ms) {
    std::uint64_t refused = 0;
    std::string why;
    for (std::size_t i = 0; i < reasons.size(); ++i) {
        const std::uint64_t more = totals[i] - told_[i];
        if (more == 0) continue;
        refused += more;
        why += fmt::format("{}{} {}", why.empty() ? "" : ", ", more, nat::to_string(reasons[i]));
    }
    if (ringing_ && now_ms - told_ms_ < interval_ms) return std::nullopt;
    if (refused == 0 && !ringing_) return std::nullopt;
    told_ = totals;
    told_ms_ = now_ms;
    ringing_ = refused != 0;
    if (!ringing_) return "there is room for new connections again";
    return fmt::format(
        "no room: {} packets that would have opened connections were dropped ({}); more addresses "
        "or ports in the pool help against `exhausted`, a larger `flows` against `table_full`; "
        "`noclashctl subscribers` shows who meets a limit",
        refused, why);
}

}  // namespace noclash::dpdk
