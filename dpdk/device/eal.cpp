// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/eal.hpp"

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "dpdk/device/log.hpp"
#include "engine/base/huge_mapping.hpp"

namespace noclash::dpdk {

namespace {

std::vector<unsigned> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) {
        throw std::runtime_error(fmt::format("sched_getaffinity: {}", std::strerror(errno)));
    }
    std::vector<unsigned> cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
    return cpus;
}

PageSize choose_pages(const Config& config, const MemoryPlan& memory) {
    if (config.memory.huge_pages == HugePages::none) return PageSize::normal;
    const std::uint64_t available = free_huge_megabytes();
    if (available >= memory.megabytes) return PageSize::huge;
    const std::string shortage = fmt::format("{} MiB of huge pages are free and {} MiB are needed",
                                             available, memory.megabytes);
    const std::string remedy =
        fmt::format("`sysctl vm.nr_hugepages={}` adds pages of 2 MiB", memory.megabytes / 2 + 1);
    if (config.memory.huge_pages == HugePages::required) {
        throw std::runtime_error(
            fmt::format("{}: [memory] huge_pages: \"required\", but {}; {}, or say \"auto\"",
                        config.file, shortage, remedy));
    }
    spdlog::info("{}: using normal pages, which are slower ({})", shortage, remedy);
    return PageSize::normal;
}

[[noreturn]] void explain_failure(const Config& config, const MemoryPlan& memory, PageSize pages,
                                  int error) {
    std::string text = fmt::format("DPDK did not start: {}", ::rte_strerror(error));
    if (const std::string said = DpdkLog::recent(); !said.empty()) {
        text += fmt::format(" ({})", said);
    }
    if (::geteuid() != 0) {
        text += "; noclash runs as root, or with CAP_NET_ADMIN, CAP_NET_RAW and CAP_IPC_LOCK";
    } else if (pages == PageSize::huge) {
        text += "; with `huge_pages = \"none\"` in [memory], noclash needs no huge pages";
    } else if (error == ENOMEM) {
        text +=
            fmt::format("; it asked for {} MiB: fewer workers, ports or `descriptors` need less",
                        memory.megabytes);
    } else if (error == EACCES || error == EPERM) {
        text += "; a container needs --privileged, or the capabilities named in the manual";
    }
    throw std::runtime_error(fmt::format("{}: {}", config.file, text));
}

}  // namespace

Eal::Eal(const Config& config) : memory_(plan_memory(config)) {
    pages_ = choose_pages(config, memory_);
    auto arguments = eal_arguments(config, memory_, pages_, allowed_cpus());
    std::string line;
    std::vector<char*> pointers;
    for (std::string& argument : arguments) {
        line += (line.empty() ? "" : " ") + argument;
        pointers.push_back(argument.data());
    }
    spdlog::debug("DPDK arguments: {}", line);
    pointers.push_back(nullptr);
    DpdkLog::forget();
    if (::rte_eal_init(static_cast<int>(arguments.size()), pointers.data()) < 0) {
        explain_failure(config, memory_, pages_, rte_errno);
    }
    DpdkLog::include_drivers();
    // DPDK has its share by now; tables take what is left.
    HugeMapping::use_reserved(config.memory.huge_pages == HugePages::none ? ReservedPages::leave
                                                                          : ReservedPages::take);
}

Eal::~Eal() {
    ::rte_eal_cleanup();
}

}  // namespace noclash::dpdk
