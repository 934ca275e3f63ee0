// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <sched.h>

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "bench/workers.hpp"
#include "engine/base/huge_array.hpp"

namespace noclash::bench {

/// EAL for a benchmark: no devices, hardly any memory of its own, nothing on disk. Once a process;
/// leaves the calling thread where it may run.
inline void start_eal() {
    static const bool started = [] {
        cpu_set_t allowed;
        ::sched_getaffinity(0, sizeof allowed, &allowed);
        std::array<std::string, 10> words{"engine_bench",
                                          "--no-huge",
                                          "--no-shconf",
                                          "--no-pci",
                                          "--no-telemetry",
                                          "--log-level=lib.*:error",
                                          "-m",
                                          "64",
                                          "--lcores",
                                          fmt::format("0@{}", allowed_cpus().front())};
        std::array<char*, words.size()> argv{};
        for (std::size_t i = 0; i < words.size(); ++i)
            argv[i] = words[i].data();
        if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0)
            throw std::runtime_error("rte_eal_init failed");
        ::sched_setaffinity(0, sizeof allowed, &allowed);
        return true;
    }();
    static_cast<void>(started);
}

/// Memory for rte_malloc on transparent huge pages, as all other tables have it: without hugetlbfs
/// EAL's own memory would lie on pages of 4 KiB.
class RteHeap {
  public:
    explicit RteHeap(std::size_t bytes)
        : memory_((start_eal(), bytes / sizeof(HugePage) + 1)), name_(next_name()) {
        const auto pages = static_cast<unsigned>(memory_.size());
        if (rte_malloc_heap_create(name_.c_str()) != 0 ||
            rte_malloc_heap_memory_add(name_.c_str(), &memory_[0], memory_.bytes(), nullptr, pages,
                                       sizeof(HugePage)) != 0)
            throw std::runtime_error(std::string("no heap for rte_hash: ") +
                                     rte_strerror(rte_errno));
    }
    ~RteHeap() {
        rte_malloc_heap_memory_remove(name_.c_str(), &memory_[0], memory_.bytes());
        rte_malloc_heap_destroy(name_.c_str());
    }
    RteHeap(const RteHeap&) = delete;
    RteHeap& operator=(const RteHeap&) = delete;

    /// The number of this heap where DPDK asks for a NUMA socket.
    [[nodiscard]] int socket_id() const { return rte_malloc_heap_get_socket(name_.c_str()); }

  private:
    /// Untouched: HugeArray constructs it, which writes nothing.
    static constexpr std::size_t huge_page = std::size_t{2} << 20;
    struct alignas(huge_page) HugePage {
        HugePage() {}  // NOLINT: leaves the bytes alone on purpose
        std::array<std::byte, huge_page> bytes;
    };
    static std::string next_name() {
        static unsigned number = 0;
        return "bench" + std::to_string(number++);
    }

    HugeArray<HugePage> memory_;
    std::string name_;
};

}  // namespace noclash::bench
