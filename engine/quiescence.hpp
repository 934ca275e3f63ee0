// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one place below dpdk/ that sees a DPDK header. rte_rcu_qsbr needs no EAL.
#include <rte_rcu_qsbr.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>

#include "engine/base/traits.hpp"

namespace noclash {

/// `rte_rcu_qsbr` behind the engine's `Quiescence` concept.
class QsbrQuiescence {
  public:
    /// @param readers  number of threads that may look at the table; reader ids are below it.
    ///                 All start offline: call `online()` from the thread itself.
    explicit QsbrQuiescence(unsigned readers) : readers_(readers) {
        const std::size_t size = rte_rcu_qsbr_get_memsize(readers);
        void* memory = std::aligned_alloc(RTE_CACHE_LINE_SIZE, size);
        if (memory == nullptr) throw std::bad_alloc();
        state_.reset(static_cast<rte_rcu_qsbr*>(memory));
        if (rte_rcu_qsbr_init(state_.get(), readers) != 0)
            throw std::invalid_argument("rte_rcu_qsbr_init: bad number of readers");
        for (unsigned reader = 0; reader < readers; ++reader)
            rte_rcu_qsbr_thread_register(state_.get(), reader);
    }

    [[nodiscard]] std::uint64_t start() {
        // A reader that comes online stores so, fences, and looks; we unlinked, fence, and ask who
        // is online: it sees the removal, or we see it. rte_rcu_qsbr has the reader's fence only.
        std::atomic_thread_fence(std::memory_order_seq_cst);  // (13)
        return rte_rcu_qsbr_start(state_.get());
    }
    /// Asks every reader. `rte_rcu_qsbr_check` would first look at a cached answer, with a plain
    /// read that orders nothing; this is asked once for many records, so the cache would gain
    /// nothing. (14)
    [[nodiscard]] bool passed(std::uint64_t token) {
        return __rte_rcu_qsbr_check_all(state_.get(), token, false) == 1;
    }
    void quiescent(unsigned reader) { rte_rcu_qsbr_quiescent(state_.get(), reader); }
    void online(unsigned reader) { rte_rcu_qsbr_thread_online(state_.get(), reader); }
    void offline(unsigned reader) { rte_rcu_qsbr_thread_offline(state_.get(), reader); }
    [[nodiscard]] unsigned readers() const { return readers_; }

  private:
    struct Free {
        void operator()(rte_rcu_qsbr* state) const { std::free(state); }
    };
    std::unique_ptr<rte_rcu_qsbr, Free> state_;
    unsigned readers_;
};

static_assert(Quiescence<QsbrQuiescence>);

}  // namespace noclash
