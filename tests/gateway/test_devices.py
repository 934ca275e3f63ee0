#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every kind of device that needs no NIC; huge pages; one and more workers, napping and polling."""


from gateway_case import GatewayCase, build, main, rule
from lab.noclash import Noclash
from lab.services import Services
from lab.topology import GATEWAY_LB, GATEWAY_POD, POD

HUGE_PAGES = "/proc/sys/vm/nr_hugepages"


class Devices(GatewayCase):
    """Real traffic over each device."""

    starts_gateway = False

    def start(self, **settings):
        """Starts a gateway; it must end in order when the test is over."""
        gateway = Noclash(build(), **settings)
        gateway.start(self.topology)
        self.addCleanup(self.stop_in_order, gateway)
        return gateway

    def stop_in_order(self, gateway):
        self.assertEqual(gateway.stop(), 0, gateway.process.log_tail(40))

    def assert_services(self):
        services = Services(self.topology)
        for check in (services.curl, services.dig, services.ping):
            result = check()
            self.assertTrue(result.ok, result.detail)

    def driver_of(self, gateway):
        return [row["driver"] for row in gateway.json("ports")]

    def test_af_packet_with_one_polling_worker(self):
        gateway = self.start(workers=1, idle="poll")
        self.assertEqual(self.driver_of(gateway), ["net_af_packet"] * 2)
        self.assert_services()

    def test_af_packet_with_four_workers_on_fewer_cores(self):
        gateway = self.start(workers=4)
        self.assertEqual(len(gateway.json("stats")), 4)
        self.assert_services()

    def test_af_xdp(self):
        gateway = self.start(workers=1, lb_device="af_xdp:gw-lb", pod_device="af_xdp:gw-pod")
        self.assertEqual(self.driver_of(gateway), ["net_af_xdp"] * 2)
        self.assert_services()

    def test_libraries_of_drivers_speak_by_the_log(self):
        """libbpf and libxdp print to standard error by themselves, unless told otherwise."""
        gateway = self.start(workers=1, log_level="debug", lb_device="af_xdp:gw-lb",
                             pod_device="af_xdp:gw-pod")
        lines = gateway.process.log().splitlines()
        self.assertTrue(any(" bpf: lib" in line for line in lines), lines)
        for line in lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\d \d\d:\d\d:")

    def reserve_huge_pages(self, count):
        with open(HUGE_PAGES, "r+", encoding="ascii") as setting:
            before = int(setting.read())
            setting.seek(0)
            setting.write(str(before + count))
        self.addCleanup(self.write, HUGE_PAGES, str(before))

    def pages_of(self, gateway):
        return {row["what"]: row["pages"] for row in gateway.json("memory")}

    def test_huge_pages(self):
        self.reserve_huge_pages(256)
        gateway = self.start(huge_pages="required")
        self.assertEqual(self.pages_of(gateway),
                         dict.fromkeys(("flow records", "tuple index", "packet buffers", "routes"),
                                       "2 MiB"))
        self.assertIn("MiB of flow records on 2 MiB pages", gateway.process.log_tail(40))
        self.assert_services()

    def test_a_flow_table_that_finds_too_few_huge_pages_does_without(self):
        self.reserve_huge_pages(256)
        gateway = self.start(huge_pages="required", flows=4 << 20)
        pages = self.pages_of(gateway)
        self.assertEqual(pages["packet buffers"], "2 MiB")
        self.assertIn(pages["flow records"], ("transparent huge", "normal"))
        self.assert_services()

    def test_no_huge_pages(self):
        self.reserve_huge_pages(256)
        gateway = self.start(huge_pages="none")
        self.assertFalse({"2 MiB", "1 GiB"} & set(self.pages_of(gateway).values()))
        self.assert_services()

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="ascii") as handle:
            handle.write(text)

    def test_tap(self):
        gateway = Noclash(build(), workers=1, pod_device="tap:gw-tap")
        gateway.start(self.topology, wait=False)
        self.addCleanup(self.stop_in_order, gateway)
        # The pod's own kernel is the host beyond the tap interface.
        self.topology.gateway.ip("link", "set", "gw-tap", "netns", self.pod.name)
        self.pod.ip("link", "delete", "pod0")
        self.pod.ip("address", "add", f"{POD}/16", "dev", "gw-tap")
        self.pod.ip("link", "set", "gw-tap", "up")
        self.pod.ip("route", "add", "default", "via", GATEWAY_POD)
        self.assert_pings(GATEWAY_LB)
        self.assert_services()

    def test_memif_between_two_gateways(self):
        # lb - first gateway - memif - second gateway - pod: every connection is translated twice.
        path = self.lab.path("link.memif")
        second = self.chained("second", f"memif:{path},server", "10.9.0.2/24",
                              "af_packet:gw-pod", "10.2.0.1/16", "")
        first = self.chained("first", "af_packet:gw-lb", "10.1.0.1/16",
                             f"memif:{path}", "10.9.0.1/24",
                             '[[route]]\nto = "10.2.0.0/16"\nvia = "10.9.0.2"\n')
        self.wait_until(lambda: "1 received" in self.ping(POD), "both gateways forward")
        self.assertIn("net_memif", self.driver_of(first))
        self.serve(7001)
        for protocol in ("udp", "tcp"):
            seen = self.ask(protocol, f"{POD}:7001")
            self.assertIsNotNone(seen, (first.drops(), second.drops()))
            self.assertEqual(seen[0][0], "10.2.0.1")

    def chained(self, name, in_device, in_address, out_device, out_address, extra):
        gateway = Noclash(build(), workers=1, lb_device=in_device, lb_address=in_address,
                          pod_device=out_device, pod_address=out_address, extra=extra,
                          rules=rule("out", "masquerade", in_="lb"))
        gateway.control_socket = self.lab.path(f"{name}.sock")
        gateway.config_path = self.lab.path(f"{name}.toml")
        gateway.write_configuration()
        gateway.launch(self.topology.gateway)
        self.addCleanup(self.stop_in_order, gateway)
        return gateway

    def test_ring_and_null_start_and_stop(self):
        gateway = Noclash(build(), workers=1, lb_device="ring:a", pod_device="null:b")
        gateway.start(self.topology, wait=False)
        self.assertEqual(self.driver_of(gateway), ["net_ring", "net_null"])
        self.stop_in_order(gateway)


if __name__ == "__main__":
    main()
