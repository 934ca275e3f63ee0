// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/dpdk_log.hpp"

#include <dlfcn.h>
#include <rte_log.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <mutex>
#include <string_view>

#include "dpdk/device/log.hpp"

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

/// The mutex is held.
void keep(Lines& all, std::string line) {
    all.kept.push_back(std::move(line));
    if (all.kept.size() > lines_kept) all.kept.pop_front();
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
        keep(all, std::move(line));
    }
    return static_cast<ssize_t>(size);
}

/// Called by libbpf and libxdp with a line, or a part of one. `level` is 0 for a warning, 1 for
/// information, 2 for debugging.
int take_bpf(int level, const char* format, va_list arguments) {
    constexpr int debugging = 2;
    std::array<char, 1024> text{};
    const int size = std::vsnprintf(text.data(), text.size(), format, arguments);
    std::string_view line(text.data());
    while (line.ends_with('\n'))
        line.remove_suffix(1);
    if (line.empty()) return size;
    spdlog::log(level < debugging ? spdlog::level::debug : spdlog::level::trace, "bpf: {}", line);
    if (level >= debugging) return size;
    Lines& all = lines();
    const std::lock_guard lock(all.mutex);
    keep(all, std::string(line));
    return size;
}

/// Tells a library of the AF_XDP driver where its lines go, if it has been loaded: noclash itself
/// is not linked with it.
void redirect(const char* library, const char* setter) {
    void* const handle = ::dlopen(library, RTLD_NOW | RTLD_NOLOAD);
    if (handle == nullptr) return;
    using Print = int (*)(int, const char*, va_list);
    using SetPrint = Print (*)(Print);
    if (const auto set = reinterpret_cast<SetPrint>(::dlsym(handle, setter))) set(take_bpf);
    ::dlclose(handle);
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

void DpdkLog::include_drivers() {
    redirect("libbpf.so.1", "libbpf_set_print");
    redirect("libxdp.so.1", "libxdp_set_print");
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
