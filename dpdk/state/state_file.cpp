// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/state_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <span>

#include "dpdk/config/version.hpp"
#include "engine/base/clock.hpp"
#include "engine/base/random.hpp"
#include "engine/flow_adoption.hpp"

namespace noclash::dpdk {

namespace {

template <std::size_t size>
void write_text(std::array<char, size>& field, std::string_view text) {
    field = {};
    std::ranges::copy(text.substr(0, size - 1), field.begin());
}

}  // namespace

StateFile::StateFile(const std::string& path, std::size_t records)
    : file_(path), records_(records) {
    look();
    if (adopts_)
        fit();
    else
        make();
    file_.populate();
}

/// Whether what is there can be adopted.
void StateFile::look() {
    if (file_.size() == 0) return;
    file_.map();
    StateHeader nothing{};
    const bool whole = file_.size() >= sizeof(StateHeader);
    switch (kind_of(whole ? header() : nothing, file_.size())) {
        case StateKind::adoptable:
            adopts_ = true;
            left_ms_ = header().alive_ms.load(std::memory_order_relaxed);
            break;
        case StateKind::unfinished:
            break;
        case StateKind::foreign:
            file_.refuse("it is no state file of noclash; remove it, or name another `file`");
        case StateKind::other_layout:
            file_.refuse(fmt::format(
                "it holds flows of noclash {}, whose records differ from those of noclash {}; "
                "tools/upgrade carries the flows over, and without the file none are carried over",
                text_of(header().release), noclash_version));
        case StateKind::other_boot:
            lost_ = "its flows are from before the machine was started";
            break;
        case StateKind::damaged:
            lost_ = "it is shorter than it says";
            break;
    }
}

/// Has room for `records_` records, with all that may live among them. At any moment the header
/// says no more than the file has.
void StateFile::fit() {
    const std::uint64_t before = header().records;
    const std::uint64_t there = (file_.size() - state_records_at) / sizeof(StateRecord) + 1;
    if (before > records_) {
        const std::span<StateRecord> all(records(), before);
        if (!FlowAdoption<V4>::fit(all, records_)) {
            file_.refuse(fmt::format(
                "more flows live in it than the configuration's `flows` has room for; raise "
                "`flows`, or remove the file to start without them"));
        }
        header().records = records_;
    }
    file_.resize(state_bytes(records_));
    file_.map();
    if (before < records_) {
        // The old file's last page may hold what a larger table left; new pages are zeros.
        for (std::uint64_t i = before; i < std::min<std::uint64_t>(there, records_); ++i)
            new (records() + i) StateRecord();
        header().records = records_;
    }
}

void StateFile::make() {
    file_.resize(0);
    file_.resize(state_bytes(records_));
    file_.map();
    StateHeader& fresh = header();
    fresh.layout_version = state_layout_version;
    fresh.header_bytes = sizeof(StateHeader);
    fresh.layout_hash = state_layout_hash();
    write_text(fresh.release, noclash_version);
    write_text(fresh.boot_id, boot_id());
    random_bytes(fresh.instance.data(), sizeof fresh.instance);
    fresh.records = records_;
    fresh.alive_ms.store(now_ms(), std::memory_order_relaxed);
    new (&lasting()) Lasting();
    // Zeros are free records. Last, so that a process that is killed meanwhile leaves nothing that
    // looks finished.
    std::atomic_signal_fence(std::memory_order_release);  // (83)
    fresh.magic = state_magic;
}

void StateFile::begin_anew(const std::string& why) {
    lost_ = why;
    adopts_ = false;
    make();
    file_.populate();
}

}  // namespace noclash::dpdk
