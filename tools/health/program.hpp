// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace noclash::health {

/// The whole program: reads the command line and does what it says. Returns the exit status.
int noclash_health(int argc, char** argv);

}  // namespace noclash::health
