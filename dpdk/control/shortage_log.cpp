// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/shortage_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace noclash::dpdk {

namespace {

using nat::DropReason;

/// Advice against a shortage. It stands only beside the reasons that it is for: `noclashctl
/// subscribers`, for one, answers only where [limits] counts sources.
struct Remedy {
    std::vector<DropReason> against;
    std::string_view text;
};

const std::vector<Remedy>& all_remedies() {
    static const std::vector<Remedy> remedies{
        {{DropReason::exhausted, DropReason::search_timeout},
         "more addresses or a larger range of ports in the pool help against `exhausted`"},
        {{DropReason::table_full, DropReason::chain_too_long},
         "a larger `flows` helps against `table_full`"},
        {{DropReason::subscriber_flows, DropReason::subscriber_ports, DropReason::half_open_source},
         "`noclashctl subscribers --top 10` shows who meets a limit"},
        {{DropReason::half_open_service},
         "`noclashctl rules` shows which service has too many half-open connections"},
    };
    return remedies;
}

std::string remedies(const ShortageLog::Totals& more) {
    std::string text;
    for (const Remedy& remedy : all_remedies()) {
        for (std::size_t i = 0; i < more.size(); ++i) {
            if (more[i] == 0 ||
                std::ranges::find(remedy.against, ShortageLog::reasons[i]) == remedy.against.end())
                continue;
            text += fmt::format("; {}", remedy.text);
            break;
        }
    }
    return text;
}

}  // namespace

std::optional<std::string> ShortageLog::look(const Totals& totals, std::uint64_t now_ms) {
    std::uint64_t refused = 0;
    std::string why;
    Totals more{};
    for (std::size_t i = 0; i < reasons.size(); ++i) {
        more[i] = totals[i] - told_[i];
        if (more[i] == 0) continue;
        refused += more[i];
        why += fmt::format("{}{} {}", why.empty() ? "" : ", ", more[i], nat::to_string(reasons[i]));
    }
    if (ringing_ && now_ms - told_ms_ < interval_ms) return std::nullopt;
    if (refused == 0 && !ringing_) return std::nullopt;
    told_ = totals;
    told_ms_ = now_ms;
    ringing_ = refused != 0;
    if (!ringing_) return "there is room for new connections again";
    return fmt::format("no room: {} packets that would have opened connections were dropped ({}){}",
                       refused, why, remedies(more));
}

}  // namespace noclash::dpdk
