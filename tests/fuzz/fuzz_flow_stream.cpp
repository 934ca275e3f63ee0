// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <span>

#include "dpdk/state/flow_stream.hpp"
#include "tests/unit/dpdk/stream_samples.hpp"

namespace {

using noclash::dpdk::StreamError;
namespace test = noclash::dpdk::test;

/// A stream that is read can be written, and is the same when it is read again.
void read(const test::StreamBytes& bytes) {
    test::StreamContent content;
    try {
        content = test::read_stream(bytes);
    } catch (const StreamError& error) {
        if (error.what()[0] == '\0') __builtin_trap();
        return;
    }
    const test::StreamContent again = test::read_stream(test::written(content));
    if (again.flows != content.flows || again.kept.identities != content.kept.identities ||
        again.kept.configuration != content.kept.configuration)
        __builtin_trap();
}

}  // namespace

/// Any bytes are either a stream or a StreamError. Checksums, which no fuzzer finds, are made
/// right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const test::StreamBytes bytes(data, data + size);
    read(bytes);
    read(test::sealed(bytes));
    return 0;
}
