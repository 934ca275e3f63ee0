// SPDX-License-Identifier: Apache-2.0
#include "tools/noclashctl/output.hpp"

#include <unistd.h>

#include <string>

#include "tools/noclashctl/spool.hpp"

namespace noclash::tools {

namespace {

constexpr std::size_t piece_bytes = 65536;  // handed to the spool at once

Spool& spool() {
    static Spool spool(STDOUT_FILENO);
    return spool;
}

std::string& unspooled() {
    static std::string text;
    return text;
}

void hand_over() {
    std::string& text = unspooled();
    const std::string piece = std::move(text);
    text.clear();
    if (!piece.empty()) spool().write(piece);
}

}  // namespace

void print(std::string_view text) {
    unspooled() += text;
    if (unspooled().size() >= piece_bytes) hand_over();
}

void flush_output() {
    hand_over();
    spool().drain();
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
