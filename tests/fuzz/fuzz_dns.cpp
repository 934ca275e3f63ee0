// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tests/fuzz/fuzz_input.hpp"
#include "tools/health/dns_message.hpp"
#include "tools/health/echo_message.hpp"

namespace {

using namespace noclash::health;

/// Whatever comes from the network is the answer, or is not: both of DNS and of ICMP.
void judge(noclash::dpdk::test::Input& input) {
    const auto length = input.byte();
    const auto letters = input.bytes(length);
    std::string name(letters.begin(), letters.end());
    if (!is_dns_name(name)) name = "www.test";
    const auto query = dns_query(0x0102, name);
    if (query.size() > 12 + 255 + 4) __builtin_trap();  // RFC 1035, 2.3.4

    // As fuzzers seldom guess a question: the query itself, some bytes of which differ.
    auto message = input.byte() % 2 == 0 ? query : noclash::dpdk::test::Bytes();
    for (auto& byte : message)
        byte ^= input.byte();
    const auto rest = input.bytes(4096);
    message.insert(message.end(), rest.begin(), rest.end());
    const auto code = dns_answer(message, query);
    if (code && (*code > 15 || message[0] != 1 || message[1] != 2 || message[2] < 0x80))
        __builtin_trap();
    if (code && dns_rcode_text(*code).empty()) __builtin_trap();

    for (const IpHeader header : {IpHeader::absent, IpHeader::present})
        (void)is_echo_reply(message, header, EchoToken{});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    noclash::dpdk::test::Input input(std::span(data, size));
    judge(input);
    return 0;
}
