// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace noclash::cpsload::options_test {
namespace {

using testing::HasSubstr;

/// Reads a command line; words are separated by blanks.
Options read(const std::string& line) {
    std::vector<std::string> words{"cpsload"};
    std::istringstream stream(line);
    for (std::string word; stream >> word;)
        words.push_back(word);
    std::vector<char*> arguments;
    for (std::string& word : words)
        arguments.push_back(word.data());
    return read_options(static_cast<int>(arguments.size()), arguments.data()).options.value();
}

std::string fault(const std::string& line) {
    try {
        static_cast<void>(read(line));
    } catch (const UsageError& error) {
        return error.what();
    }
    return "accepted";
}

const std::string sides =
    "--client af_packet:lb0 --client-address 10.1.0.2/16 "
    "--server af_packet:pod0 --server-address 10.2.0.2/16 ";
const std::string service = sides + "--service 10.1.0.1:30080 ";

TEST(Options, FillInWhatFollows) {
    const Options options = read(service + "--profile lb --rate 4000 --duration 2");
    EXPECT_EQ(options.settings.sources, 16U);
    EXPECT_EQ(options.settings.traffic[0].kind, Kind::crr);
    EXPECT_EQ(options.settings.first_source, V4Address::from_host(0x0a010002));
    EXPECT_EQ(options.client.gateway, V4Address::from_host(0x0a010001));
    EXPECT_EQ(options.server.gateway, V4Address::from_host(0x0a020001));
    EXPECT_EQ(options.settings.backends.size(), 1U);
    EXPECT_EQ(options.schedule.to_cps, 4000);
    EXPECT_EQ(options.duration, 2 * second);
}

TEST(Options, ServesWhatIsOnlyRouted) {
    const Options options =
        read(sides + "--service 10.2.0.7:80 --client-gateway 10.1.0.1 --duration 1");
    ASSERT_EQ(options.server.own.size(), 2U);
    EXPECT_EQ(options.server.own[1].first, V4Address::from_host(0x0a020007));
}

TEST(Options, SortServicesOfAMix) {
    const Options options = read(sides +
                                 "--profile mix --mix tcp-crr=2,dns=1 --service 10.1.0.1:80/tcp "
                                 "--service 10.1.0.1:53/dns --service 10.1.0.1:81/tcp");
    ASSERT_EQ(options.settings.traffic.size(), 2U);
    EXPECT_EQ(options.settings.traffic[0].services.size(), 2U);
    EXPECT_EQ(options.settings.traffic[0].weight, 2U);
    EXPECT_EQ(options.settings.traffic[1].kind, Kind::dns);
}

TEST(Options, NeedNothingForASelfTest) {
    const Options options = read("--self-test");
    EXPECT_TRUE(options.self_test);
    EXPECT_TRUE(options.schedule.unlimited());
}

TEST(Options, NameWhatIsWrongAndTheRemedy) {
    EXPECT_THAT(fault(""), HasSubstr("--client is missing"));
    EXPECT_THAT(fault(sides), HasSubstr("--service is missing"));
    EXPECT_THAT(fault(sides + "--service 10.1.0.1"), HasSubstr("ADDRESS:PORT"));
    EXPECT_THAT(fault(sides + "--service 10.1.0.1:0"), HasSubstr("ADDRESS:PORT"));
    EXPECT_THAT(fault(sides + "--service 10.1.0.1:80 --service 10.1.0.1:80"), HasSubstr("twice"));
    EXPECT_THAT(fault("--client veth:a --server tap:b --client-address 1.1.1.1/8 "
                      "--server-address 2.2.2.2/8 --service 1.1.1.2:1"),
                HasSubstr("names no kind of device; expected \"af_packet:IFACE\""));
    EXPECT_THAT(fault("--client tap:a --server tap:a --client-address 1.1.1.1/8 "
                      "--server-address 2.2.2.2/8 --service 1.1.1.2:1"),
                HasSubstr("same device"));
    EXPECT_THAT(fault(sides + "--service 10.9.0.1:80"), HasSubstr("--client-gateway"));
    EXPECT_THAT(fault(service + "--server-gateway 10.3.0.1"), HasSubstr("--server-gateway"));
    EXPECT_THAT(fault(service + "--client-address x"), HasSubstr("--client-address"));
    EXPECT_THAT(fault(service + "--rate fast"), HasSubstr("1 to 10000000, or max"));
    EXPECT_THAT(fault(service + "--rate 5x"), HasSubstr("1 to 10000000, or max"));
    EXPECT_THAT(fault(service + "--ramp 1:2"), HasSubstr("FROM:TO:SECONDS"));
    EXPECT_THAT(fault(service + "--source-ports 9-8"), HasSubstr("FIRST-LAST"));
    EXPECT_THAT(fault(service + "--profile mix"), HasSubstr("none with /tcp"));
    EXPECT_THAT(fault(service + "--profile mix --mix tcp-crr=0"), HasSubstr("KIND=SHARE"));
    EXPECT_THAT(fault(sides + "--profile mix --mix udp=1,dns=1 --service 10.1.0.1:53/udp "
                              "--service 10.1.0.1:53/dns"),
                HasSubstr("would both use 10.1.0.1:53"));
    EXPECT_THAT(fault(service + "--payload 1400 --in-flight 4000000"),
                HasSubstr("cannot name them all"));
    EXPECT_THAT(fault(service + "--payload 1000 --mtu 1000"), HasSubstr("does not fit"));
    EXPECT_THAT(fault(service + "--measure teardown"), HasSubstr("--connections"));
    EXPECT_THAT(fault(service + "--search --measure capacity"), HasSubstr("one of the two"));
    EXPECT_THAT(fault(service + "--no-such-option"), HasSubstr("no-such-option"));
}

TEST(Options, SayWhenTheTuplesDoNotSuffice) {
    // One address has 64,512 ports, which last 6 s at this rate.
    EXPECT_THAT(
        fault(service + "--rate 10000 --duration 60"),
        testing::AllOf(HasSubstr("64512"), HasSubstr("--sources"), HasSubstr("--reuse-after 0")));
    EXPECT_EQ(fault(service + "--rate 10000 --duration 60 --reuse-after 0"), "accepted");
    EXPECT_EQ(fault(service + "--rate 10000 --duration 60 --sources 40"), "accepted");
    EXPECT_EQ(fault(service + "--rate 200 --duration 3600"), "accepted");
    EXPECT_THAT(fault(service + "--profile tcp-syn --connections 70000 --reuse-after 0"),
                HasSubstr("stay open"));
}

}  // namespace
}  // namespace noclash::cpsload::options_test
