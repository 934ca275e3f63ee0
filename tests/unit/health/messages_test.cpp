// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/health/dns_message.hpp"
#include "tools/health/echo_message.hpp"

namespace noclash::health::messages_test {
namespace {

using namespace std::string_view_literals;
using Bytes = std::vector<std::uint8_t>;

Bytes bytes(std::string_view text) {
    return {text.begin(), text.end()};
}

/// An answer to `query` with this code, and no records.
Bytes answer_to(Bytes query, std::uint8_t code) {
    query[2] |= 0x80U;
    query[3] = static_cast<std::uint8_t>(0x80U | code);
    return query;
}

TEST(DnsQuery, IsAsRfc1035HasIt) {
    const Bytes wanted = bytes(
        "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x04test\x00\x00\x01\x00\x01"sv);
    EXPECT_EQ(dns_query(0x1234, "www.test"), wanted);
    EXPECT_EQ(dns_query(0x1234, "www.test."), wanted);
    EXPECT_EQ(dns_query(0x1234, "."),
              bytes("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01"sv));
}

TEST(DnsName, HasLabelsOfOneTo63CharactersAnd253InAll) {
    const std::string label(63, 'a');
    for (const std::string& name :
         {std::string("."), std::string("test"), std::string("a.b."), label,
          label + "." + label + "." + label + "." + label.substr(2)})
        EXPECT_TRUE(is_dns_name(name)) << name;
    for (const std::string& name :
         {std::string(), std::string(".."), std::string(".a"), std::string("a..b"),
          std::string("a b"), std::string("a.\xc3\xbc"), label + "a",
          label + "." + label + "." + label + "." + label.substr(1)})
        EXPECT_FALSE(is_dns_name(name)) << name;
}

TEST(DnsAnswer, HasTheCodeOfTheServer) {
    const Bytes query = dns_query(0x1234, "www.test");
    EXPECT_EQ(dns_answer(answer_to(query, 0), query), 0U);
    EXPECT_EQ(dns_answer(answer_to(query, 3), query), 3U);
    Bytes with_record = answer_to(query, 0);
    with_record[7] = 1;
    for (int i = 0; i < 16; ++i)
        with_record.push_back(0);
    EXPECT_EQ(dns_answer(with_record, query), 0U);
    Bytes upper = answer_to(query, 0);
    upper[13] = 'W';
    EXPECT_EQ(dns_answer(upper, query), 0U);
}

TEST(DnsAnswer, OfAnErrorMayLackTheQuestion) {
    const Bytes query = dns_query(7, "www.test");
    Bytes short_one = answer_to(query, 1);
    short_one.resize(12);
    short_one[5] = 0;
    EXPECT_EQ(dns_answer(short_one, query), 1U);
    short_one[3] = 0x80;
    EXPECT_EQ(dns_answer(short_one, query), std::nullopt);
}

TEST(DnsAnswer, IsTheAnswerToThisQueryOnly) {
    const Bytes query = dns_query(0x1234, "www.test");
    const Bytes good = answer_to(query, 0);
    EXPECT_EQ(dns_answer(query, query), std::nullopt);  // no response
    EXPECT_EQ(dns_answer(answer_to(dns_query(0x1235, "www.test"), 0), query), std::nullopt);
    EXPECT_EQ(dns_answer(answer_to(dns_query(0x1334, "www.test"), 0), query), std::nullopt);
    EXPECT_EQ(dns_answer(answer_to(dns_query(0x1234, "wwx.test"), 0), query), std::nullopt);
    EXPECT_EQ(dns_answer(answer_to(dns_query(0x1234, "www.tes"), 0), query), std::nullopt);
    Bytes status_query = good;
    status_query[2] |= 2U << 3U;
    EXPECT_EQ(dns_answer(status_query, query), std::nullopt);
    Bytes two_questions = good;
    two_questions[5] = 2;
    EXPECT_EQ(dns_answer(two_questions, query), std::nullopt);
    for (std::size_t size = 0; size < good.size(); ++size)
        EXPECT_EQ(dns_answer(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)),
                             query),
                  std::nullopt)
            << size;
}

TEST(DnsCode, HasAName) {
    EXPECT_EQ(dns_rcode_text(2), "SERVFAIL");
    EXPECT_EQ(dns_rcode_text(9), "RCODE 9");
}

constexpr EchoToken token{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

TEST(EchoRequest, SumsToNothing) {
    const EchoMessage request = echo_request(0xabcd, token);
    EXPECT_EQ(request[0], 8);
    EXPECT_EQ(request[4], 0xab);
    EXPECT_EQ(request[5], 0xcd);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < request.size(); i += 2)
        sum += request[i] * 256U + request[i + 1];
    EXPECT_EQ((sum & 0xffffU) + (sum >> 16U), 0xffffU);
}

TEST(EchoReply, HasTheTokenAndMayHaveAnIpHeader) {
    const EchoMessage request = echo_request(1, token);
    Bytes reply(request.begin(), request.end());
    EXPECT_FALSE(is_echo_reply(reply, IpHeader::absent, token));  // a request
    reply[0] = 0;
    EXPECT_TRUE(is_echo_reply(reply, IpHeader::absent, token));
    EXPECT_FALSE(is_echo_reply(reply, IpHeader::present, token));
    for (const unsigned words : {5U, 6U, 15U}) {
        Bytes packet(words * 4);
        packet[0] = static_cast<std::uint8_t>(0x40U | words);
        packet.insert(packet.end(), reply.begin(), reply.end());
        EXPECT_TRUE(is_echo_reply(packet, IpHeader::present, token));
        for (std::size_t size = 0; size < packet.size(); ++size)
            EXPECT_FALSE(is_echo_reply(std::span(packet).first(size), IpHeader::present, token));
        packet[0] = 0x44;  // a header shorter than any
        EXPECT_FALSE(is_echo_reply(packet, IpHeader::present, token));
    }
    reply.back() ^= 1U;
    EXPECT_FALSE(is_echo_reply(reply, IpHeader::absent, token));
}

}  // namespace
}  // namespace noclash::health::messages_test
