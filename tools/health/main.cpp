// SPDX-License-Identifier: Apache-2.0
#include "tools/health/program.hpp"

int main(int argc, char** argv) {
    return noclash::health::noclash_health(argc, argv);
}
