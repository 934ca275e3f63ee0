// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/eal_arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

#include "dpdk/config/device_string.hpp"

namespace noclash::dpdk {

std::vector<unsigned> cpus_of_workers(const Config& config, const std::vector<unsigned>& allowed) {
    std::vector<unsigned> cpus;
    for (unsigned worker = 0; worker < config.workers; ++worker) {
        if (config.cores.empty()) {
            cpus.push_back(allowed.at(worker % allowed.size()));
            continue;
        }
        const unsigned core = config.cores.at(worker);
        if (std::find(allowed.begin(), allowed.end(), core) == allowed.end()) {
            throw std::runtime_error(
                fmt::format("{}: cores: this process may not run on CPU {}; expected some of {} "
                            "(see taskset and the cpuset of the service)",
                            config.file, core, fmt::join(allowed, ", ")));
        }
        cpus.push_back(core);
    }
    return cpus;
}

std::vector<std::string> eal_arguments(const Config& config, const MemoryPlan& memory,
                                       PageSize pages, const std::vector<unsigned>& allowed) {
    std::vector<std::string> arguments{"noclash"};

    // The main thread shares all CPUs; several lcores may stand on one.
    std::string lcores = fmt::format("0@({})", fmt::join(allowed, ","));
    const auto cpus = cpus_of_workers(config, allowed);
    for (unsigned worker = 0; worker < cpus.size(); ++worker) {
        lcores += fmt::format(",{}@{}", lcore_of(worker), cpus[worker]);
    }
    arguments.insert(arguments.end(), {"--lcores", lcores, "--main-lcore", "0"});

    // Memory in files without names: nothing is left behind however the process ends, and any
    // number of instances run side by side. One such file, not one a page, spares descriptors.
    if (pages == PageSize::huge) {
        arguments.insert(arguments.end(), {"--in-memory", "--single-file-segments"});
    } else {
        arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
    }
    arguments.insert(arguments.end(), {"-m", fmt::format("{}", memory.megabytes)});
    // DPDK makes an empty directory of this name and leaves it; one is enough for all instances.
    arguments.insert(arguments.end(), {"--file-prefix=noclash", "--no-telemetry"});

    bool pci = false;
    for (std::size_t i = 0; i < config.ports.size(); ++i) {
        const auto parsed = parse_device(config.ports[i], i, config.workers);
        const auto* device = std::get_if<Device>(&parsed);
        if (device == nullptr || device->kind != DeviceKind::pci) continue;
        arguments.insert(arguments.end(), {"--allow", device->name});
        pci = true;
    }
    if (!pci) arguments.insert(arguments.end(), {"--no-pci", "--iova-mode=va"});

    const bool debug = config.log_level == "debug";
    const bool trace = config.log_level == "trace";
    arguments.emplace_back(fmt::format("--log-level=*:{}", trace   ? "debug"
                                                           : debug ? "info"
                                                                   : "warning"));
    return arguments;
}

}  // namespace noclash::dpdk
