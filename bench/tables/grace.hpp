// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "engine/flow.hpp"
#include "engine/quiescence.hpp"

namespace noclash::bench {

/// One worker's flows that nobody can find any more, until nobody can be reading them either. One
/// grace period serves all that came before it. The other tables get here what noclash has.
class Grace {
  public:
    explicit Grace(QsbrQuiescence& quiescence) : quiescence_(quiescence) {}

    void add(FlowId flow) { open_.push_back(flow); }

    template <class Reclaim>
    void collect(Reclaim&& reclaim) {
        if (closed_.empty()) {
            if (open_.empty()) return;
            closed_.swap(open_);
            token_ = quiescence_.start();
        }
        if (!quiescence_.passed(token_)) return;
        for (const FlowId flow : closed_)
            reclaim(flow);
        closed_.clear();
    }

    [[nodiscard]] bool empty() const { return open_.empty() && closed_.empty(); }

  private:
    QsbrQuiescence& quiescence_;
    std::vector<FlowId> open_, closed_;
    std::uint64_t token_ = 0;
};

}  // namespace noclash::bench
