# SPDX-License-Identifier: Apache-2.0
"""The laboratory: network namespaces, gateways under test, and what people run on them.

Bottom-up: `process` runs commands, `namespaces` and `laboratory` make and remove namespaces and
links, `topology` puts a gateway between a load balancer and a pod, `netfilter` and `noclash` are
the gateways, `storm`, `services` and `echo` send traffic (`restarts` while the gateway is killed),
`console` talks to people. `demo` and `suite`
are the programs behind tools/demo and tools/test (`parts` runs parts of a test run side by side,
`checks` and `tidy` are their work), `bench` and `bench_*` those behind tools/bench;
`racelab` and `racelab_*` are one of these; docs/racelab.md tells more. Needs nothing but Python's
standard library.
"""
