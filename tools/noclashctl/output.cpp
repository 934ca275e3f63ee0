// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/output.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace noclash::tools {

namespace {

void check(bool written) {
    if (!written) throw std::runtime_error(fmt::format("cannot write: {}", std::strerror(errno)));
}

}  // namespace

void print(std::string_view text) {
    check(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

void flush_output() {
    check(std::fflush(stdout) == 0);
}

void JsonArray::add(std::string_view element) {
    print(empty_ ? "[\n" : ",\n");
    print(element);
    empty_ = false;
}

void JsonArray::close() {
    print(empty_ ? "[]\n" : "\n]\n");
}

}  // namespace noclash::tools
