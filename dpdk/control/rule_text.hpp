// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dpdk/config/rule_text.hpp"  // IWYU pragma: export
