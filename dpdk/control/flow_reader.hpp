// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dpdk/control/flow_filter.hpp"
#include "dpdk/control/flow_view.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "nat/conntrack/end_segments.hpp"

namespace noclash::dpdk {

/// A reader's place in the table's quiescence, held by a control connection while it looks at
/// flows. There are as many as the control socket admits clients, and one for the main thread.
class FlowReader {
  public:
    explicit FlowReader(Gateway& gateway);
    FlowReader(const FlowReader&) = delete;
    FlowReader& operator=(const FlowReader&) = delete;
    ~FlowReader();

    /// Copies the live flows among records `first` .. `first + count - 1` that match. The reader is
    /// in a critical section meanwhile and out of it afterwards, so that neither a long dump nor a
    /// slow client keeps a record from being reused; no worker waits for it in any case.
    void copy(FlowId first, std::uint32_t count, const FlowFilter& filter,
              std::vector<FlowView>& out);

    /// Marks the numbers of rules and pools that records `first` .. `first + count - 1` refer to;
    /// those of a record that is being set up are the current policy's.
    void mark_names(FlowId first, std::uint32_t count, std::vector<bool>& rules,
                    std::vector<bool>& pools);

    /// Ends the flow if it still is the one that was seen.
    /// A mapping ends with its last flow.
    /// @param told  gets what tells its ends of it
    bool flush(const FlowView& flow, EngineCounters& counters, nat::MappingCounters& mappings,
               nat::EndSegments& told);

  private:
    Gateway& gateway_;
    std::shared_ptr<const Snapshot> policy_;
    unsigned place_;
    unsigned reader_;
};

}  // namespace noclash::dpdk
