// SPDX-License-Identifier: Apache-2.0
#pragma once

// spdlog, for files that log. Each line that is logged names a template of fmt's that formats all
// there is: it is compiled once, in log.cpp, where each file would take seconds for its own.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#if FMT_VERSION < 100000
extern template void fmt::detail::vformat_to<char>(fmt::detail::buffer<char>&, fmt::string_view,
                                                   fmt::format_args, fmt::detail::locale_ref);
#endif
