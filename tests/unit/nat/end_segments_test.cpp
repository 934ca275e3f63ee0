// SPDX-License-Identifier: Apache-2.0
// What the ends of a connection are told that has been ended in whatever state.

#include "nat/conntrack/end_segments.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "nat/conntrack/own_segment.hpp"
#include "nat/packet/parse.hpp"
#include "tests/unit/nat/conversation.hpp"

namespace noclash::nat::test::end_segments_test {
namespace {

constexpr std::uint32_t client_host = 0x0a010007, service = 0x0a010001, server_host = 0x0a020002,
                        outside = 0x0a020001;
using tcp_flag::ack, tcp_flag::fin, tcp_flag::rst, tcp_flag::syn;

/// A connection between 10.1.0.7:40000 and the service 10.1.0.1:80, which is 10.2.0.2:8080, to
/// which the gateway speaks as 10.2.0.1:5000.
class Ended : public Conversation {
  public:
    explicit Ended(TcpWindow mode = TcpWindow::liberal) : Conversation(mode), mode_(mode) {
        flow.tuples = {tuple({client_host, service, 40000, 80}, ip_protocol::tcp),
                       tuple({server_host, outside, 8080, 5000}, ip_protocol::tcp)};
    }

    /// What each end is told, in order. The numbers count from the initial sequence number of the
    /// side whose they are.
    [[nodiscard]] std::vector<std::string> told() {
        std::vector<std::string> words;
        for (const auto& [to, numbers] : end_segments(flow, mode_)) {
            std::string word = to == there ? "client:" : "server:";
            const bool resets = numbers.has(rst);
            EXPECT_EQ(numbers.flags & ~(rst | ack), 0);
            if (resets) word += " RST " + std::to_string(numbers.sequence - initial(opposite(to)));
            if (numbers.has(ack))
                word += resets ? " ACK " + std::to_string(numbers.acknowledgment - initial(to))
                               : " ACK";
            words.push_back(word);
        }
        return words;
    }

  private:
    [[nodiscard]] static std::uint32_t initial(Direction direction) {
        return direction == there ? 0xffff'ff00 : 0x7fff'fe00;
    }
    TcpWindow mode_;
};
using Told = std::vector<std::string>;

TEST(EndSegments, OfAQuietConnectionAreOneExactResetEach) {
    for (const TcpWindow mode : {TcpWindow::liberal, TcpWindow::strict}) {
        Ended flow(mode);
        flow.establish();
        EXPECT_EQ(flow.told(), (Told{"client: RST 1", "server: RST 1"}));
        flow.goes(there, {ack, 1, 1, 100}, TcpState::established, __LINE__);
        flow.goes(back, {ack, 1, 101, 500}, TcpState::established, __LINE__);
        flow.goes(there, {ack, 101, 501}, TcpState::established, __LINE__);
        EXPECT_EQ(flow.told(), (Told{"client: RST 501", "server: RST 101"}));
        // A keepalive, of one byte before the end, and its answer.
        flow.goes(there, {ack, 100, 501}, TcpState::established, __LINE__);
        flow.goes(back, {ack, 501, 101}, TcpState::established, __LINE__);
        EXPECT_EQ(flow.told(), (Told{"client: RST 501", "server: RST 101"}));
    }
}

TEST(EndSegments, InTheMidstOfATransferGoBehindAllThatWasSentAndBehindAllThatIsThere) {
    Ended download;
    download.establish();
    download.goes(there, {ack, 1, 1, 100}, TcpState::established, __LINE__);
    download.goes(back, {ack, 1, 101, 400}, TcpState::established, __LINE__);
    download.goes(back, {ack, 401, 101, 400}, TcpState::established, __LINE__);
    download.goes(there, {ack, 101, 401}, TcpState::established, __LINE__);
    EXPECT_EQ(download.told(), (Told{"client: RST 801", "client: RST 401", "server: RST 101"}));

    Ended both;
    both.establish();
    both.goes(there, {ack, 1, 1, 100}, TcpState::established, __LINE__);
    both.goes(back, {ack, 1, 1, 300}, TcpState::established, __LINE__);
    EXPECT_EQ(both.told(),
              (Told{"client: RST 301", "client: RST 1", "server: RST 101", "server: RST 1"}));
}

TEST(EndSegments, OfAConnectionThatOpensAcknowledgeTheSyn) {
    for (const TcpWindow mode : {TcpWindow::liberal, TcpWindow::strict, TcpWindow::off}) {
        Ended flow(mode);
        flow.open({syn});
        const auto told = flow.told();
        ASSERT_EQ(told.size(), 2U);
        EXPECT_TRUE(told[0].ends_with(" ACK 1")) << told[0];
        EXPECT_EQ(told[1], "server: RST 1");
    }
    Ended answered;
    answered.open({syn});
    answered.goes(back, {syn_ack, 0, 1}, TcpState::syn_recv, __LINE__);
    EXPECT_EQ(answered.told(), (Told{"client: RST 1 ACK 1", "server: RST 1 ACK 1"}));
    Ended crossed;
    crossed.open({syn});
    crossed.goes(back, {syn}, TcpState::syn_sent2, __LINE__);
    EXPECT_EQ(crossed.told(), (Told{"client: RST 1 ACK 1", "server: RST 1 ACK 1"}));
}

TEST(EndSegments, CountAFin) {
    for (const Direction first : {there, back}) {
        const std::string closer = first == there ? "server" : "client";  // who hears of it
        const std::string other = first == there ? "client" : "server";
        Ended flow;
        flow.establish();
        const auto both = [&](const std::string& to_closer, const std::string& to_other) {
            Told client_first{closer + to_closer, other + to_other};
            if (first == there) std::swap(client_first[0], client_first[1]);
            return client_first;
        };
        flow.goes(first, {fin_ack, 1, 1}, TcpState::fin_wait, __LINE__);
        EXPECT_EQ(flow.told().size(), 3U);  // whether it has come, nobody knows
        flow.goes(opposite(first), {ack, 1, 2}, TcpState::close_wait, __LINE__);
        EXPECT_EQ(flow.told(), both(": RST 2", ": RST 1"));
        flow.goes(opposite(first), {ack, 1, 2, 50}, TcpState::close_wait, __LINE__);
        flow.goes(first, {ack, 2, 51}, TcpState::close_wait, __LINE__);
        EXPECT_EQ(flow.told(), both(": RST 2", ": RST 51"));
        flow.goes(opposite(first), {fin_ack, 51, 2}, TcpState::last_ack, __LINE__);
        EXPECT_EQ(flow.told().size(), 3U);
        flow.goes(first, {ack, 2, 52}, TcpState::time_wait, __LINE__);
        EXPECT_EQ(flow.told(), Told{}) << "it is over";
    }
}

TEST(EndSegments, OfAConnectionThatWasResetAreNone) {
    Ended flow;
    flow.establish();
    flow.goes(back, {rst, 1}, TcpState::close, __LINE__);
    EXPECT_EQ(flow.told(), Told{});
}

TEST(EndSegments, OfOtherProtocolsAreNone) {
    Ended flow;
    flow.establish();
    for (auto& tuple : flow.flow.tuples)
        tuple.protocol = ip_protocol::sctp;
    EXPECT_EQ(flow.told(), Told{});
}

TEST(EndSegments, WithoutNumbersAskWhatIsExpected) {
    Ended flow(TcpWindow::off);
    flow.establish();
    EXPECT_EQ(flow.told(), (Told{"client: ACK", "server: ACK"}));
    flow.goes(there, {fin_ack, 1, 1}, TcpState::fin_wait, __LINE__);
    EXPECT_EQ(flow.told(), (Told{"client: ACK", "server: ACK"}));
}

/// The packet that an end gets, checked like one that came.
Parsed<V4> packet_of(const Flow<V4, Production>& flow, const EndSegment& segment, Bytes& bytes) {
    const OwnSegment<V4> own(flow.tuple(segment.to).inverse(), segment.numbers);
    bytes.assign(own.bytes().begin(), own.bytes().end());
    Parsed<V4> parsed;
    EXPECT_EQ(parse<V4>(view(bytes), 0, parsed), DropReason::none);
    EXPECT_TRUE(l4_checksum_ok<V4>(view(bytes), parsed));
    return parsed;
}

TEST(EndSegments, ComeFromWhomTheirReceiverKnows) {
    Ended flow;
    flow.establish();
    const EndSegments told = end_segments(flow.flow, TcpWindow::liberal);
    ASSERT_EQ(told.end() - told.begin(), 2);
    Bytes bytes;
    const Parsed<V4> to_client = packet_of(flow.flow, told.begin()[0], bytes);
    EXPECT_EQ(to_client.tuple, tuple({service, client_host, 80, 40000}, ip_protocol::tcp));
    // Byte by byte: header checksum and TCP checksum are those of another implementation.
    EXPECT_EQ(to_hex(bytes), to_hex([] {
                  Bytes expected = tcp({service, client_host, 80, 40000}, rst);
                  expected[8] = 64;
                  put16(expected, 4, 0);
                  put16(expected, 6, 0x4000);
                  put32(expected, 24, 0x7fff'fe01);
                  put32(expected, 28, 0);
                  put16(expected, 34, 0);
                  fix_ip_checksum(expected);
                  fix_l4_checksum(expected);
                  return expected;
              }()));
    EXPECT_EQ(packet_of(flow.flow, told.begin()[1], bytes).tuple,
              tuple({outside, server_host, 5000, 8080}, ip_protocol::tcp));
}

/// A record may have been left by another process: whatever its words are, what comes of them is
/// two or one well-formed segments to each end, or nothing.
TEST(EndSegments, OfAnyWordsAreWellFormed) {
    std::mt19937 random(1);
    std::size_t states_told = 0;
    for (unsigned state = 0; state < 256; ++state) {
        for (int times = 0; times < 20; ++times) {
            Ended ended;
            ended.flow.protocol_state = static_cast<std::uint8_t>(state);
            for (auto& word : ended.flow.memory)
                word = static_cast<std::uint32_t>(random());
            for (const TcpWindow mode : {TcpWindow::liberal, TcpWindow::strict, TcpWindow::off}) {
                const EndSegments told = end_segments(ended.flow, mode);
                ASSERT_LE(told.end() - told.begin(),
                          static_cast<std::ptrdiff_t>(EndSegments::most));
                for (const EndSegment& segment : told) {
                    Bytes bytes;
                    const Parsed<V4> parsed = packet_of(ended.flow, segment, bytes);
                    EXPECT_EQ(parsed.tuple, ended.flow.tuple(segment.to).inverse());
                    const TcpSegment numbers = segment_of(view(bytes), parsed);
                    EXPECT_EQ(numbers.sequence, segment.numbers.sequence);
                    EXPECT_EQ(numbers.acknowledgment, segment.numbers.acknowledgment);
                }
                if (times == 0 && mode == TcpWindow::liberal && !told.empty()) ++states_told;
            }
        }
    }
    // Seven states are those of a connection that lives, under each of the 16 upper halves.
    EXPECT_EQ(states_told, 7U * 16U);
}

}  // namespace
}  // namespace noclash::nat::test::end_segments_test
