// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "engine/flow_worker.hpp"
#include "tests/schedule/scheduled.hpp"

namespace noclash::schedule {

/// All records that are not in use can be taken by the workers, each once; then they are given
/// back.
void check_free_records(FlowTable<V4, Scheduled>& table,
                        std::span<FlowWorker<V4, Scheduled>* const> workers);

}  // namespace noclash::schedule
