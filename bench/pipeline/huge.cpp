// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "bench/pipeline/cases.hpp"
#include "dpdk/control/memory_report.hpp"

namespace noclash::bench {
namespace {

constexpr std::uint32_t most = 100'000'000;

/// A directory in memory, which goes with its files.
class MemoryDirectory {
  public:
    MemoryDirectory() : path_(fmt::format("/dev/shm/noclash-bench{}", ::getpid())) {
        std::filesystem::create_directory(path_);
        std::filesystem::permissions(path_, std::filesystem::perms::owner_all);
    }
    MemoryDirectory(const MemoryDirectory&) = delete;
    MemoryDirectory& operator=(const MemoryDirectory&) = delete;
    ~MemoryDirectory() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::string file(const char* name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

struct Costs {
    Cost opening, established;
};

/// Creates the flows once, looks at each of their packets, and then at some drawn at random.
Costs costs_of(Bed& bed, Translations& translations, const Options& options) {
    Trial trial(bed, translations);
    trial.calibrate(1, opening({}));
    Costs costs;
    costs.opening = trial.time_opening(1, translations.size(), opening({}));
    expect(bed.live_flows() == translations.size(), "flows are missing");
    PipelineReport::progress("both sides speak");
    establish(trial, translations);
    costs.established =
        established_cost(trial, options, established(translations, translations.size(), Way::both));
    expect(bed.dropped() == 0, "packets were dropped");
    return costs;
}

double bytes_of_flows(Bed& bed) {
    double bytes = 0;
    for (const dpdk::MemoryRow& row : dpdk::memory_report(bed.gateway()))
        if (row.what == "flow records" || row.what == "tuple index")
            bytes += static_cast<double>(row.bytes);
    return bytes;
}

}  // namespace

void huge(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    constexpr std::uint32_t usual = 4 * million;
    PipelineReport::progress("4 M flows, to compare with");
    const Costs few = [&] {
        Bed bed(dpdk, {.flows = usual});
        Translations translations({}, usual, bed.gateway());
        return costs_of(bed, translations, options);
    }();

    PipelineReport::progress("a hundred million flows");
    const MemoryDirectory directory;
    const Wish wish{.flows = most,
                    .timeouts = "tcp_syn_sent_s = 3600\ntcp_syn_recv_s = 3600\n",
                    .general = fmt::format("name = \"huge\"\n[state]\nfile = \"{}\"\n",
                                           directory.file("huge.state"))};
    auto bed = std::make_unique<Bed>(dpdk, wish);
    report.remark(dpdk::memory_words(dpdk::memory_report(bed->gateway())));
    report.row("100,000,000 flows: memory of one", bytes_of_flows(*bed) / most, "B", 170,
               PipelineReport::Goal::at_most);
    Translations translations({}, most, bed->gateway());
    const Costs many = costs_of(*bed, translations, options);
    translations.check_unique();
    report.rate("100,000,000 flows: new TCP flows", many.opening);
    report.rate("100,000,000 flows: established, random order", many.established);
    report.row("100,000,000 flows / 4 M: new TCP flows",
               many.opening.packets_per_us / few.opening.packets_per_us, "x", 0.5);
    report.row("100,000,000 flows / 4 M: established, random order",
               many.established.packets_per_us / few.established.packets_per_us, "x", 0.5);

    // What a killed process leaves: nothing ends a flow here, and no order is kept.
    PipelineReport::progress("another gateway adopts them");
    bed.reset();
    bed = std::make_unique<Bed>(dpdk, wish);
    const dpdk::AdoptionReport& adoption = bed->adoption();
    expect(adoption.records.adopted == most, "flows were not adopted");
    report.row("100,000,000 flows: adopted", static_cast<double>(adoption.took_ms) / 1000, "s");
    Trial trial(*bed, translations);
    trial.verify(1, options.packets, established(translations, most, Way::both));
    expect(bed->dropped() == 0, "packets of adopted flows were dropped");
}

}  // namespace noclash::bench
