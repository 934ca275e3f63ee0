// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "dpdk/datapath/snapshot.hpp"

namespace noclash::dpdk {

/// The policy in force. Workers take it once a round, by one load; it stays theirs until their next
/// quiescent state. All other threads hold it for as long as they need it.
class CurrentPolicy {
  public:
    explicit CurrentPolicy(std::shared_ptr<const Snapshot> first)
        : shared_(std::move(first)), of_round_(shared_.get()) {}

    /// For a worker that is online.
    [[nodiscard]] const Snapshot& of_round() const {
        return *of_round_.load(std::memory_order_acquire);  // (79)
    }
    /// For any other thread.
    [[nodiscard]] std::shared_ptr<const Snapshot> hold() const {
        const std::scoped_lock lock(mutex_);
        return shared_;
    }
    /// Puts another one in force. The caller keeps the one that is returned for a grace period, in
    /// which every worker passes a quiescent state.
    [[nodiscard]] std::shared_ptr<const Snapshot> replace(std::shared_ptr<const Snapshot> next) {
        const std::scoped_lock lock(mutex_);
        shared_.swap(next);
        of_round_.store(shared_.get(), std::memory_order_release);  // (78)
        return next;
    }

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Snapshot> shared_;
    std::atomic<const Snapshot*> of_round_;
};

}  // namespace noclash::dpdk
