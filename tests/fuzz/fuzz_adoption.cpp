// SPDX-License-Identifier: Apache-2.0

// Any bytes as the records that a process left: see adoption_driver.hpp.

#include <cstdint>
#include <span>

#include "tests/fuzz/adoption_driver.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    noclash::nat::test::AdoptionDriver().drive({data, size});
    return 0;
}
