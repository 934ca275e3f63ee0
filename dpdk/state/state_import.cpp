// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "dpdk/state/state_file.hpp"
#include "dpdk/state/state_transfer.hpp"
#include "dpdk/state/stream_flow.hpp"
#include "engine/base/clock.hpp"

namespace noclash::dpdk {

namespace {

/// Whether what is there may go.
void look_at(const std::string& path, Replace replace) {
    if (!is_state_there(path)) return;
    const StateView view(path);
    if (view.kind() == StateKind::foreign)
        view.refuse("it is no state file of noclash; remove it, or name another `file`");
    if (replace == Replace::yes) return;
    if (view.kind() == StateKind::other_layout)
        view.refuse("it holds flows of another release; --replace throws them away");
    if (view.kind() != StateKind::adoptable) return;
    const std::uint64_t there = count_records(view).all();
    if (there > 0) view.refuse(fmt::format("it holds {} flows; --replace throws them away", there));
}

/// How long ago a stream was written. On the boot that it was written on, the clock that nobody
/// sets tells; else the one that both have. One that was set back tells nothing.
std::uint64_t elapsed_since(const StreamHeader& header, std::uint64_t now) {
    using namespace std::chrono;
    const bool same_boot = !header.boot_id.empty() && header.boot_id == boot_id();
    const std::uint64_t then = same_boot ? header.monotonic_ms : header.wall_ms;
    const auto wall = static_cast<std::uint64_t>(
        duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
    const std::uint64_t today = same_boot ? now : wall;
    return today > then ? today - then : 0;
}

/// Fills the records of a new file.
class Filling final : public FlowStreamReader::Content {
  public:
    Filling(StateFile& file, std::size_t records, const StreamHeader& header,
            const Progress& progress)
        : file_(file), records_(records), flows_(header.flows), progress_(progress) {
        moment_.now_ms = now_ms();
        moment_.elapsed_ms = elapsed_since(header, moment_.now_ms);
    }
    void policy(KeptPolicy policy) override {
        policy_ = std::move(policy);
        policy_.instance = file_.instance();
    }
    void lasting(const StreamLasting& lasting) override {
        file_.lasting().clocks.go_on(lasting.clocks, moment_.now_ms, moment_.elapsed_ms);
        file_.lasting().packet_ids.go_on(lasting.packet_ids);
    }
    void flow(const StreamFlow& flow) override {
        if (next_ >= records_) throw std::logic_error("more flows than records");
        if (arrive(flow, moment_, file_.records()[next_])) {
            ++done_.carried;
            ++next_;
        } else {
            ++done_.over;
        }
        const std::uint64_t read = done_.carried + done_.over;
        if (read % flows_between_signs == 0) progress_(read, flows_);
    }
    [[nodiscard]] const KeptPolicy& policy() const { return policy_; }
    [[nodiscard]] Transferred done() const { return done_; }
    [[nodiscard]] std::uint64_t now() const { return moment_.now_ms; }

  private:
    StateFile& file_;
    std::size_t records_;
    std::uint64_t flows_;
    const Progress& progress_;
    Arriving moment_;
    KeptPolicy policy_;
    Transferred done_;
    std::size_t next_ = 1;  // 0 is no flow
};

/// A file that is being made: it goes unless it is done.
class Unfinished {
  public:
    explicit Unfinished(std::string path) : path_(std::move(path)) {}
    Unfinished(const Unfinished&) = delete;
    Unfinished& operator=(const Unfinished&) = delete;
    ~Unfinished() {
        if (!path_.empty()) ::unlink(path_.c_str());
    }
    void done() { path_.clear(); }

  private:
    std::string path_;
};

}  // namespace

Transferred import_state(const std::string& path, std::size_t records,
                         const FlowStreamReader::Source& source, Replace replace,
                         const Progress& progress) {
    FlowStreamReader reader(source);
    look_at(path, replace);
    // From here on nobody starts on what is there.
    const MappedFile there(path);
    Unfinished made(there.size() == 0 ? path : "");
    if (reader.header().flows + 1 > records) {
        there.refuse(fmt::format("{} flows come, and `flows` has room for fewer; raise it",
                                 reader.header().flows));
    }
    const std::string next = path + ".import";
    ::unlink(next.c_str());
    Unfinished half(next);
    StateFile file(next, records);
    Filling filling(file, records, reader.header(), progress);
    reader.read(filling);
    // Flows are as old as when they were read.
    file.alive(filling.now());
    write_kept_policy(kept_policy_path(path), filling.policy());
    if (std::rename(next.c_str(), path.c_str()) != 0) there.refuse(std::strerror(errno));
    half.done();
    made.done();
    return filling.done();
}

}  // namespace noclash::dpdk
