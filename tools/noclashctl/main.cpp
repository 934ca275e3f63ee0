// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/program.hpp"

int main(int argc, char** argv) {
    return noclash::tools::noclashctl(argc, argv);
}
