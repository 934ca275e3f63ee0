// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/page_kind.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace noclash::dpdk::test::page_kind_test {
namespace {

constexpr const char* smaps = R"(00400000-00500000 r-xp 00000000 fe:00 1234  /usr/bin/noclash
Size:               1024 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                 800 kB
AnonHugePages:         0 kB
ShmemPmdMapped:        0 kB
VmFlags: rd ex mr mw me sd
7f0000000000-7f0040000000 rw-p 00000000 00:0f 77  /anon_hugepage (deleted)
Size:            1048576 kB
KernelPageSize:  1048576 kB
MMUPageSize:     1048576 kB
Rss:                   0 kB
AnonHugePages:         0 kB
7f0040000000-7f0040400000 rw-p 00000000 00:0f 78  /anon_hugepage (deleted)
Size:               4096 kB
KernelPageSize:     2048 kB
Rss:                   0 kB
7f0040400000-7f0040c00000 rw-p 00000000 00:00 0
KernelPageSize:        4 kB
Rss:                8192 kB
AnonHugePages:      6144 kB
ShmemPmdMapped:        0 kB
7f0040c00000-7f0041400000 rw-s 00000000 00:01 79  /memfd:nohuge (deleted)
KernelPageSize:        4 kB
Rss:                8192 kB
AnonHugePages:         0 kB
ShmemPmdMapped:     4096 kB
7f0041400000-7f0041c00000 rw-p 00000000 00:00 0
KernelPageSize:        4 kB
Rss:                8192 kB
AnonHugePages:      2048 kB
)";

PageKind at(std::uintptr_t address) {
    std::istringstream text(smaps);
    return page_kind_at(text, address);
}

}  // namespace

TEST(PageKind, IsThatOfTheMappingTheAddressIsIn) {
    EXPECT_EQ(at(0x400000), PageKind::normal);
    EXPECT_EQ(at(0x7f0000000000), PageKind::gigabyte);
    EXPECT_EQ(at(0x7f003fffffff), PageKind::gigabyte);
    EXPECT_EQ(at(0x7f0040000000), PageKind::two_megabytes);
}

TEST(PageKind, IsTransparentWhereHalfOfWhatIsThereIsHuge) {
    EXPECT_EQ(at(0x7f0040500000), PageKind::transparent);
    EXPECT_EQ(at(0x7f0040d00000), PageKind::transparent);
    EXPECT_EQ(at(0x7f0041500000), PageKind::normal);
}

TEST(PageKind, IsNormalWhereNothingIsKnown) {
    EXPECT_EQ(at(0x1000), PageKind::normal);
    EXPECT_EQ(at(0x7f0041c00000), PageKind::normal);
    std::istringstream nothing;
    EXPECT_EQ(page_kind_at(nothing, 0x400000), PageKind::normal);
}

TEST(PageKind, OfThisProcessIsKnown) {
    static const char here = 0;
    EXPECT_EQ(page_kind_at(&here), PageKind::normal);
}

}  // namespace noclash::dpdk::test::page_kind_test
