// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace noclash::tools {

/// The whole program: reads the command line and does what it says. Returns the exit status.
int noclashctl(int argc, char** argv);

}  // namespace noclash::tools
