// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/device_string.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace noclash::dpdk::device_string_test {
namespace {

using testing::HasSubstr;

PortConfig port_of(const char* device) {
    PortConfig port;
    port.device = device;
    return port;
}

Device parse(const PortConfig& port, std::size_t index = 0, std::size_t workers = 1) {
    const auto parsed = parse_device(port, index, workers);
    if (const auto* wrong = std::get_if<std::string>(&parsed)) {
        ADD_FAILURE() << *wrong;
        return {};
    }
    return std::get<Device>(parsed);
}

std::string fault(const char* device) {
    const auto parsed = parse_device(port_of(device), 0, 1);
    const auto* wrong = std::get_if<std::string>(&parsed);
    return wrong != nullptr ? *wrong : "";
}

TEST(DeviceString, AfPacketHasAQueueForEachWorkerAndRoomForANap) {
    const Device device = parse(port_of("af_packet:veth0"), 3, 2);
    EXPECT_EQ(device.kind, DeviceKind::af_packet);
    EXPECT_EQ(device.name, "net_af_packet3");
    EXPECT_EQ(device.interface, "veth0");
    EXPECT_EQ(device.arguments,
              "net_af_packet3,iface=veth0,qpairs=2,blocksz=65536,framesz=2048,framecnt=4096,"
              "qdisc_bypass=1");
    EXPECT_EQ(device.longest_frame, 1982U);  // as Linux cuts it
}

TEST(DeviceString, AfPacketFramesHoldTheMtu) {
    PortConfig port = port_of("af_packet:veth0");
    port.mtu = 2000;
    EXPECT_THAT(parse(port).arguments, HasSubstr("blocksz=65536,framesz=4096,"));
    port.mtu = 9000;
    EXPECT_THAT(parse(port).arguments, HasSubstr("blocksz=65536,framesz=16384,"));
}

TEST(DeviceString, AfXdp) {
    const Device device = parse(port_of("af_xdp:eth1"), 1, 4);
    EXPECT_EQ(device.interface, "eth1");
    EXPECT_EQ(device.arguments, "net_af_xdp1,iface=eth1,start_queue=0,queue_count=4");
}

TEST(DeviceString, TapMakesItsInterface) {
    const Device device = parse(port_of("tap:gw0"));
    EXPECT_EQ(device.interface, "");
    EXPECT_EQ(device.arguments, "net_tap0,iface=gw0");
}

TEST(DeviceString, MemifInBothRoles) {
    PortConfig port = port_of("memif:/run/x.sock");
    port.descriptors = 2048;
    const Device client = parse(port);
    EXPECT_EQ(client.arguments,
              "net_memif0,role=client,id=0,socket=/run/x.sock,socket-abstract=no,bsize=2048,"
              "rsize=11");
    EXPECT_EQ(client.socket, "");
    const Device server = parse(port_of("memif:/run/x.sock,server"));
    EXPECT_THAT(server.arguments, HasSubstr("role=server"));
    EXPECT_EQ(server.socket, "/run/x.sock");
}

TEST(DeviceString, RingAndNullAreNamed) {
    EXPECT_EQ(parse(port_of("ring:loop")).arguments, "net_ring_loop");
    EXPECT_EQ(parse(port_of("null:sink")).arguments, "net_null_sink,no-rx=1");
}

TEST(DeviceString, PciAddressInFull) {
    const Device device = parse(port_of("pci:0000:AF:00.1"));
    EXPECT_EQ(device.kind, DeviceKind::pci);
    EXPECT_EQ(device.name, "0000:af:00.1");
    EXPECT_EQ(device.arguments, "");
    EXPECT_EQ(parse(port_of("pci:03:00.0")).name, "0000:03:00.0");
}

TEST(DeviceString, VdevStandsAsItIs) {
    const Device device = parse(port_of("vdev:net_pcap0,iface=eth3"));
    EXPECT_EQ(device.name, "net_pcap0");
    EXPECT_EQ(device.arguments, "net_pcap0,iface=eth3");
}

TEST(DeviceString, NamesWhatIsWrong) {
    EXPECT_THAT(fault(""), HasSubstr("names no kind of device"));
    EXPECT_THAT(fault("eth0"), HasSubstr("names no kind of device"));
    EXPECT_THAT(fault("AF_PACKET:eth0"), HasSubstr("names no kind of device"));
    EXPECT_THAT(fault("af_packet:"), HasSubstr("no name of an interface"));
    EXPECT_THAT(fault("tap:sixteen-letters-"), HasSubstr("no name of an interface"));
    EXPECT_THAT(fault("af_packet:a/b"), HasSubstr("no name of an interface"));
    EXPECT_THAT(fault("memif:x.sock"), HasSubstr("no absolute path"));
    EXPECT_THAT(fault("memif:/x,master"), HasSubstr("\"master\" is not known"));
    EXPECT_THAT(fault("ring:"), HasSubstr("is no name"));
    EXPECT_THAT(fault("pci:eth0"), HasSubstr("no PCI address"));
    EXPECT_THAT(fault("pci:0000:03:00.8"), HasSubstr("no PCI address"));
    EXPECT_THAT(fault("vdev:"), HasSubstr("names no DPDK device"));
}

TEST(DeviceString, NothingSlipsInBehindAComma) {
    EXPECT_NE(fault("af_packet:eth0,qpairs=64"), "");
    EXPECT_NE(fault("tap:x,remote=eth0"), "");
    EXPECT_NE(fault("null:x,copy=1"), "");
}

}  // namespace
}  // namespace noclash::dpdk::device_string_test
