// SPDX-License-Identifier: Apache-2.0

// Every check of the tester is seen failing: a gateway in memory does what no gateway may.

#include <gtest/gtest.h>

#include "tests/unit/cpsload/wire.hpp"
#include "tools/cpsload/dns.hpp"

namespace noclash::cpsload::verifier_test {
namespace {

constexpr V4Address gateway_address = V4Address::from_host(0x0a020001);
constexpr int packets_of_crr = 7;

/// A gateway that does something to the packet with this number, counted from 0, and passes the
/// others.
Gateway at(int number, std::function<std::vector<Frame>(const Frame&)> act) {
    return [number, act = std::move(act), seen = 0](const Frame& frame, Way /*way*/) mutable {
        return seen++ == number ? act(frame) : std::vector<Frame>{frame};
    };
}

std::function<std::vector<Frame>(const Frame&)> edit_by(std::function<void(Editable&)> edit) {
    return [edit = std::move(edit)](const Frame& frame) {
        return std::vector<Frame>{edited(frame, edit)};
    };
}

class AllKinds : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, AllKinds,
                         testing::Values(Kind::crr, Kind::syn, Kind::udp, Kind::dns));

TEST_P(AllKinds, CompleteThroughANat) {
    Wire wire(settings_for(GetParam()), Translator(gateway_address));
    wire.open(10);
    const Counters& counters = wire.ledger.counters;
    EXPECT_EQ(counters.opened, 10U);
    EXPECT_EQ(counters.delivered, 10U);
    EXPECT_EQ(counters.established, 10U);
    EXPECT_EQ(counters.completed, 10U);
    EXPECT_EQ(counters.retransmissions, 0U);
    EXPECT_TRUE(counters.clean());
    EXPECT_EQ(wire.ledger.connections.live(), 0U);
    EXPECT_EQ(wire.ledger.deadlines.waiting(), 0U);
}

TEST_P(AllKinds, AreLostWhenNothingPasses) {
    Wire wire(settings_for(GetParam()), [](const Frame&, Way) { return std::vector<Frame>{}; });
    wire.open(3);
    wire.wait(second);
    EXPECT_EQ(wire.ledger.counters.lost, 3U);
    EXPECT_EQ(wire.ledger.counters.lost_openings, 3U);
    EXPECT_EQ(wire.ledger.counters.troubled, 3U);
    EXPECT_FALSE(wire.ledger.counters.clean());
    EXPECT_EQ(wire.ledger.connections.live(), 0U);
}

class EachPacket : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(OfAConnection, EachPacket, testing::Range(0, packets_of_crr));

TEST_P(EachPacket, LostIsSentAgain) {
    Wire wire(settings_for(Kind::crr),
              at(GetParam(), [](const Frame&) { return std::vector<Frame>{}; }));
    wire.open(1);
    EXPECT_EQ(wire.ledger.counters.completed, 0U);
    wire.wait(second);
    EXPECT_EQ(wire.ledger.counters.completed, 1U);
    EXPECT_EQ(wire.ledger.counters.retransmissions, 1U);
    EXPECT_EQ(wire.ledger.counters.troubled, 1U);
    EXPECT_TRUE(wire.ledger.counters.clean());
}

TEST_P(EachPacket, CopiedByTheGatewayIsADuplicate) {
    Wire wire(settings_for(Kind::crr), at(GetParam(), [](const Frame& frame) {
                  return std::vector<Frame>{frame, frame};
              }));
    wire.open(1);
    EXPECT_EQ(wire.ledger.counters.completed, 1U);
    EXPECT_EQ(wire.ledger.counters.duplicated(), 1U);
    EXPECT_FALSE(wire.ledger.counters.clean());
}

TEST_P(EachPacket, WithAWrongChecksumIsSeen) {
    Wire wire(settings_for(Kind::crr), at(GetParam(), [](Frame frame) {
                  frame[tcp_payload_at - 1] ^= 1;  // the urgent pointer
                  return std::vector<Frame>{frame};
              }));
    wire.open(1);
    EXPECT_EQ(wire.ledger.counters.bad_checksums, 1U);
    EXPECT_FALSE(wire.ledger.counters.clean());
}

TEST_P(EachPacket, FromOrToAnotherTupleIsSeen) {
    Wire wire(settings_for(Kind::crr),
              at(GetParam(), edit_by([](Editable& parts) { ++parts.ends.source_port; })));
    wire.open(1);
    const Counters& counters = wire.ledger.counters;
    const bool answer = GetParam() % 2 == 1;
    if (answer) {
        EXPECT_EQ(counters.wrong_answers, 1U);
    } else {
        // The tuple of the first packet is the connection's; the client misses the others'.
        EXPECT_GE(counters.mistranslated + counters.wrong_answers, 1U);
    }
    EXPECT_FALSE(counters.clean());
}

/// But the SYN: with another number it would be another connection.
class EachLaterPacket : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(OfAConnection, EachLaterPacket, testing::Range(1, packets_of_crr));

TEST_P(EachLaterPacket, MovedInItsByteStreamIsSeen) {
    Wire wire(settings_for(Kind::crr),
              at(GetParam(), edit_by([](Editable& parts) { ++parts.tcp.sequence; })));
    wire.open(1);
    EXPECT_EQ(wire.ledger.counters.corrupted, 1U);
    EXPECT_FALSE(wire.ledger.counters.clean());
}

TEST(Verifier, SeesAChangedPayload) {
    for (const int number : {2, 3}) {
        Wire wire(settings_for(Kind::crr),
                  at(number, edit_by([](Editable& parts) { parts.payload.back() ^= 1; })));
        wire.open(1);
        EXPECT_EQ(wire.ledger.counters.corrupted, 1U);
    }
    for (const int number : {0, 1}) {
        Wire wire(settings_for(Kind::udp),
                  at(number, edit_by([](Editable& parts) { parts.payload.back() ^= 1; })));
        wire.open(1);
        EXPECT_EQ(wire.ledger.counters.corrupted, 1U);
    }
}

TEST(Verifier, SeesAShortenedPayload) {
    Wire wire(settings_for(Kind::crr),
              at(2, edit_by([](Editable& parts) { parts.payload.pop_back(); })));
    wire.open(1);
    EXPECT_EQ(wire.ledger.counters.corrupted, 1U);
}

TEST(Verifier, SeesAnAnswerThatComesToAnotherConnection) {
    // The first connection's SYN-ACK goes to the second one's address.
    Wire wire(settings_for(Kind::crr), at(1, edit_by([](Editable& parts) {
                                              parts.ends.destination = V4Address::from_host(
                                                  parts.ends.destination.value.host() + 1);
                                          })));
    wire.open(2);
    EXPECT_EQ(wire.ledger.counters.wrong_answers, 1U);
    EXPECT_EQ(wire.ledger.counters.completed, 1U);
}

TEST(Verifier, SeesATupleThatTwoLiveConnectionsShare) {
    Wire wire(settings_for(Kind::hold), [](const Frame& frame, Way way) {
        if (way == Way::to_client) return std::vector<Frame>{};
        return std::vector<Frame>{edited(frame, [](Editable& parts) {
            parts.ends.source = gateway_address;
            parts.ends.source_port = 7777;
        })};
    });
    wire.open(2);
    EXPECT_EQ(wire.ledger.counters.reused_tuples, 1U);
    EXPECT_FALSE(wire.ledger.counters.clean());
}

TEST(Verifier, AllowsATupleToBeUsedAgainAfterItsConnection) {
    Ends home;
    Wire wire(settings_for(Kind::crr), [&](const Frame& frame, Way way) {
        return std::vector<Frame>{edited(frame, [&](Editable& parts) {
            if (way == Way::to_server) {
                home = parts.ends;
                parts.ends.source = gateway_address;
                parts.ends.source_port = 7777;
            } else {
                parts.ends = home.inverse();
            }
        })};
    });
    wire.open(1);
    wire.open(1);
    EXPECT_EQ(wire.ledger.counters.completed, 2U);
    EXPECT_TRUE(wire.ledger.counters.clean());
}

TEST(Verifier, SeesASynThatIsRepeatedWithAnotherTuple) {
    int port = 5000;
    Wire wire(settings_for(Kind::crr), [&](const Frame& frame, Way way) {
        if (way == Way::to_client) return std::vector<Frame>{};
        return std::vector<Frame>{edited(frame, [&](Editable& parts) {
            parts.ends.source_port = static_cast<std::uint16_t>(port++);
        })};
    });
    wire.open(1);
    wire.wait(150 * millisecond);
    EXPECT_EQ(wire.ledger.counters.mistranslated, 1U);
}

TEST(Verifier, SeesADeliveryToTheWrongServer) {
    Settings settings = settings_for(Kind::crr);
    settings.backends = {{V4Address::from_host(0x0a020002), 80}};
    Wire wire(settings);
    wire.open(1);
    EXPECT_EQ(wire.ledger.counters.mistranslated, 1U);
    settings.backends = {settings.traffic[0].services[0]};
    Wire right(settings);
    right.open(1);
    EXPECT_TRUE(right.ledger.counters.clean());
}

TEST(Verifier, SeesAPairOfQueriesThatIsSplit) {
    int queries = 0;
    Wire wire(settings_for(Kind::dns), [&](const Frame& frame, Way way) {
        if (way == Way::to_client) return std::vector<Frame>{};
        return std::vector<Frame>{edited(frame, [&](Editable& parts) {
            parts.ends.source_port = static_cast<std::uint16_t>(5000 + queries++);
        })};
    });
    wire.open(1);
    EXPECT_EQ(wire.ledger.counters.split_pairs, 1U);
    EXPECT_FALSE(wire.ledger.counters.clean());
}

TEST(Verifier, SeesASplitPairThatTakesAnotherConnectionsTuple) {
    // The second query of the second pair gets the tuple of the first pair, which still lives.
    int queries = 0;
    Wire wire(settings_for(Kind::dns), [&](const Frame& frame, Way way) {
        if (way == Way::to_client) return std::vector<Frame>{};
        const auto port = static_cast<std::uint16_t>(++queries == 3 ? 5001 : 5000);
        return std::vector<Frame>{edited(frame, [&](Editable& parts) {
            parts.ends.source = gateway_address;
            parts.ends.source_port = port;
        })};
    });
    wire.open(2);
    EXPECT_EQ(wire.ledger.counters.split_pairs, 1U);
    EXPECT_EQ(wire.ledger.counters.reused_tuples, 1U);
}

TEST(Verifier, SeesADamagedDnsAnswer) {
    Wire wire(settings_for(Kind::dns),
              at(2, edit_by([](Editable& parts) { parts.payload.back() ^= 1; })));
    wire.open(1);
    EXPECT_EQ(wire.ledger.counters.corrupted, 1U);
    EXPECT_EQ(wire.ledger.counters.completed, 0U);
}

TEST(Verifier, RepeatsOnlyTheDnsQueryThatIsMissing) {
    Wire wire(settings_for(Kind::dns), at(1, [](const Frame&) { return std::vector<Frame>{}; }));
    wire.open(1);
    wire.wait(150 * millisecond);
    EXPECT_EQ(wire.ledger.counters.completed, 1U);
    EXPECT_EQ(wire.ledger.counters.retransmissions, 1U);
    EXPECT_TRUE(wire.ledger.counters.clean());
}

TEST(Verifier, CountsAConnectionThatIsReset) {
    Wire wire(settings_for(Kind::crr), at(1, edit_by([](Editable& parts) {
                                              parts.tcp.flags = tcp_flag::rst | tcp_flag::ack;
                                              parts.tcp.sequence = 0;
                                          })));
    wire.open(1);
    EXPECT_EQ(wire.ledger.counters.reset, 1U);
    EXPECT_EQ(wire.ledger.connections.live(), 0U);
    EXPECT_FALSE(wire.ledger.counters.clean());
}

TEST(Verifier, TakesALatePacketOfAnOlderConnectionForAStray) {
    Frame old;
    Wire wire(settings_for(Kind::crr), [&](const Frame& frame, Way way) {
        if (old.empty() && way == Way::to_client) old = frame;
        return std::vector<Frame>{frame};
    });
    wire.open(1);
    Frame room = old;
    room.resize(room_bytes);
    EXPECT_EQ(wire.client.receive(segment_of(old), room.data(), 0), 0U);
    EXPECT_EQ(wire.ledger.counters.strays, 1U);
    EXPECT_EQ(wire.ledger.counters.duplicated(), 1U);
}

TEST(Verifier, HoldsAsksAndClosesConnections) {
    Wire wire(settings_for(Kind::hold), Translator(gateway_address));
    wire.open(4);
    const Counters& counters = wire.ledger.counters;
    EXPECT_EQ(counters.held, 4U);
    EXPECT_EQ(counters.completed, 0U);
    EXPECT_EQ(wire.ledger.deadlines.waiting(), 0U);
    for (std::uint32_t slot = 0; slot < 4; ++slot) {
        // Some are closed without having been asked.
        if (slot != 3) wire.ask(wire.ledger.connections[slot]);
        EXPECT_EQ(wire.ledger.connections[slot].state, ClientState::held);
    }
    EXPECT_EQ(counters.answered, 3U);
    for (std::uint32_t slot = 0; slot < 4; ++slot)
        wire.close(wire.ledger.connections[slot]);
    EXPECT_EQ(counters.completed, 4U);
    EXPECT_TRUE(counters.clean());
}

TEST(Verifier, OpensNoMoreThanItMay) {
    Settings settings = settings_for(Kind::hold);
    settings.in_flight = 3;
    Wire wire(settings);
    Frame room(room_bytes);
    for (int i = 0; i < 3; ++i)
        EXPECT_GT(wire.client.open(room.data(), 0), 0U);
    EXPECT_EQ(wire.client.open(room.data(), 0), 0U);
    EXPECT_EQ(wire.ledger.counters.opened, 3U);
}

TEST(Verifier, SharesAMixOutByWeight) {
    Settings settings = settings_for(Kind::crr);
    settings.traffic[0].weight = 3;
    settings.traffic.push_back({Kind::udp, 1, {{V4Address::from_host(0x0a010001), 7}}});
    int tcp = 0;
    Wire wire(settings, [&](const Frame& frame, Way way) {
        Frame copy = frame;
        const Segment segment = segment_of(copy);
        if (way == Way::to_server && segment.has(tcp_flag::syn)) ++tcp;
        return std::vector<Frame>{frame};
    });
    for (int i = 0; i < 4; ++i)
        wire.open(10);
    EXPECT_EQ(tcp, 30);
    EXPECT_EQ(wire.ledger.counters.completed, 40U);
    EXPECT_TRUE(wire.ledger.counters.clean());
}

}  // namespace
}  // namespace noclash::cpsload::verifier_test
