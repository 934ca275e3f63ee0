// SPDX-License-Identifier: Apache-2.0
#include "dpdk/dpdk_log.hpp"

#include <rte_log.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <deque>
#include <mutex>
#include <string_view>

namespace noclash::dpdk {

namespace {

constexpr std::size_t lines_kept = 8;

struct Lines {
    std::mutex mutex;
    std::deque<std::string> kept;
    std::string unfinished;
};

Lines& lines() {
    static Lines instance;
    return instance;
}

ssize_t take(void*, const char* data, std::size_t size) {
    Lines& all = lines();
    const std::lock_guard lock(all.mutex);
    all.unfinished.append(data, size);
    for (;;) {
        const std::size_t end = all.unfinished.find('\n');
        if (end == std::string::npos) break;
        std::string line = all.unfinished.substr(0, end);
        all.unfinished.erase(0, end + 1);
        if (line.empty()) continue;
        spdlog::debug("dpdk: {}", line);
        all.kept.push_back(std::move(line));
        if (all.kept.size() > lines_kept) all.kept.pop_front();
    }
    return static_cast<ssize_t>(size);
}

}  // namespace

DpdkLog::DpdkLog() {
    lines();
    cookie_io_functions_t functions{};
    functions.write = take;
    stream_ = ::fopencookie(nullptr, "w", functions);
    if (stream_ == nullptr) return;
    std::setvbuf(stream_, nullptr, _IOLBF, 4096);
    ::rte_openlog_stream(stream_);
}

DpdkLog::~DpdkLog() {
    if (stream_ == nullptr) return;
    ::rte_openlog_stream(nullptr);
    std::fclose(stream_);
}

void DpdkLog::forget() {
    Lines& all = lines();
    const std::lock_guard lock(all.mutex);
    all.kept.clear();
}

std::string DpdkLog::recent() {
    Lines& all = lines();
    const std::lock_guard lock(all.mutex);
    std::string text;
    for (const std::string& line : all.kept) {
        if (!text.empty()) text += "; ";
        text += line;
    }
    return text;
}

}  // namespace noclash::dpdk
