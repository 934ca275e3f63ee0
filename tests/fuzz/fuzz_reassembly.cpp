// SPDX-License-Identifier: Apache-2.0

// Any fragments, in any order: what becomes whole, is a copy or contradicts, as a model says that
// is told by a map of bytes; and all bounds hold where there is no room. The first byte of the
// input chooses which of the two.

#include <cstdint>
#include <span>

#include "tests/fuzz/reassembly_driver.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using noclash::nat::test::ReassemblyDriver;
    if (size == 0) return 0;
    const std::span input(data + 1, size - 1);
    switch (data[0] % 3) {
        case 0:
            ReassemblyDriver(2048, 2048, false).drive(input);
            break;
        case 1:
            ReassemblyDriver(16, 5, true).drive(input);
            break;
        default:
            ReassemblyDriver(3, 2, true).drive(input);
    }
    return 0;
}
