// SPDX-License-Identifier: Apache-2.0
#include "bench/pipeline/bed.hpp"

#include <fmt/format.h>
#include <rte_eth_ring.h>
#include <rte_launch.h>

#include <exception>
#include <semaphore>
#include <stdexcept>

#include "bench/scenario.hpp"
#include "engine/base/clock.hpp"

namespace noclash::bench {
namespace {

/// Several times a batch, so that a buffer that is written anew has long left the nearest caches.
constexpr std::uint32_t packet_buffers = 6 * batch_frames;

std::string config_text(const Wish& wish, unsigned number) {
    return fmt::format(R"(
flows = {}
workers = {}
idle = "poll"
{}
[memory]
packet_buffers = {}
[neighbors]
refresh_s = 3600
[timeouts]
below_rfc_floor = true
{}
[[port]]
name = "inside"
device = "vdev:net_ring_in{}"
address = "192.168.0.1/24"
[[port]]
name = "outside"
device = "vdev:net_ring_out{}"
address = "198.18.0.1/24"
[[route]]
to = "10.0.0.0/8"
via = "192.168.0.2"
[[route]]
to = "0.0.0.0/0"
via = "198.18.0.2"
{}
[[pool]]
name = "bench"
addresses = ["{}"]
pooling = "arbitrary"
{}
[[rule]]
name = "clients"
in = "inside"
{}
)",
                       wish.flows, wish.workers, wish.general, packet_buffers, wish.timeouts,
                       number, number, wish.routes, wish.pool, wish.rules, wish.action);
}

dpdk::Config config_of_process(unsigned workers, dpdk::HugePages pages) {
    Wish wish;
    wish.workers = workers;
    dpdk::Config config = bench_config(wish, 0);
    config.memory.huge_pages = pages;
    config.log_level = "warning";
    return config;
}

V4Address neighbor_address(Side side) {
    return V4Address::from_host(side == Side::inside ? 0xc0a80002U : 0xc6120002U);
}

}  // namespace

dpdk::Config bench_config(const Wish& wish, unsigned number) {
    return dpdk::parse_config(config_text(wish, number), "the bench's configuration");
}

Dpdk::Dpdk(unsigned workers, dpdk::HugePages pages)
    : workers_(workers),
      eal_(config_of_process(workers, pages)),
      buffers_(eal_.memory(), eal_.pages()) {}

Bed::Bed(Dpdk& dpdk, const Wish& wish) : wish_(wish) {
    static unsigned beds = 0;
    number_ = beds++;
    make_port(Side::inside, fmt::format("in{}", number_));
    make_port(Side::outside, fmt::format("out{}", number_));
    const dpdk::Config config = bench_config(wish, number_);
    std::vector<std::unique_ptr<dpdk::Port>> ports;
    for (std::size_t i = 0; i < config.ports.size(); ++i) {
        ports.push_back(std::make_unique<dpdk::Port>(config, i, dpdk.buffers()));
        ports.back()->start();
    }
    if (config.state.keep) state_.emplace(config);
    gateway_ = std::make_unique<dpdk::Gateway>(config, std::move(ports), dpdk.buffers(),
                                               number_ + 1, nullptr, state_ ? &*state_ : nullptr);
    for (unsigned id = 0; id < wish.workers; ++id)
        workers_.push_back(
            std::make_unique<dpdk::Worker>(*gateway_, static_cast<std::uint16_t>(id)));
    if (state_) {
        dpdk::FlowFlush flush(*gateway_);
        dpdk::Reloader reloader(*gateway_, workers_, flush);
        adoption_ = dpdk::adopt(*gateway_, workers_, reloader);
    }
    on_workers(1, [this](unsigned) {
        introduce(Side::inside);
        introduce(Side::outside);
    });
}

Bed::~Bed() {
    workers_.clear();
    gateway_.reset();
    for (auto& rings : rings_)
        for (rte_ring* ring : rings)
            rte_ring_free(ring);
}

dpdk::Config Bed::with_rules(std::string rules) const {
    Wish other = wish_;
    other.rules = std::move(rules);
    return bench_config(other, number_);
}

void Bed::make_port(Side side, const std::string& name) {
    std::vector<rte_ring*> rx, tx;
    for (unsigned i = 0; i < 2 * wish_.workers; ++i) {
        rte_ring* ring =
            rte_ring_create(fmt::format("bench_{}_{}", name, i).c_str(), 2 * batch_frames,
                            SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        if (ring == nullptr) throw std::runtime_error("DPDK has no memory for a ring");
        rings_[port_of(side)].push_back(ring);
        (i % 2 == 0 ? rx : tx).push_back(ring);
    }
    if (rte_eth_from_rings(name.c_str(), rx.data(), wish_.workers, tx.data(), wish_.workers, 0) < 0)
        throw std::runtime_error("DPDK cannot make a port of rings");
}

void Bed::introduce(Side side) {
    rte_mbuf* frame = rte_pktmbuf_alloc(buffers());
    expect(frame != nullptr, "there is no packet buffer");
    auto* room = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(frame, nat::arp_frame_bytes));
    const dpdk::PortConfig& port = gateway_->config.ports[port_of(side)];
    nat::build_arp_frame(nat::arp_request(neighbor_mac(side), neighbor_address(side), port.address),
                         nat::broadcast_mac,
                         std::span<std::uint8_t, nat::arp_frame_bytes>(room, nat::arp_frame_bytes));
    rte_ring_sp_enqueue(rx(side, 0), frame);
    dpdk::Worker& first = worker(0);
    first.begin();
    const std::size_t received = first.round(now_ms());
    first.end();
    void* answer = nullptr;
    expect(received == 1 && rte_ring_sc_dequeue(tx(side, 0), &answer) == 0,
           "the gateway does not answer ARP");
    rte_pktmbuf_free(static_cast<rte_mbuf*>(answer));
    // It asks for the other side's router, too.
    for (const Side any : {Side::inside, Side::outside})
        while (rte_ring_sc_dequeue(tx(any, 0), &answer) == 0)
            rte_pktmbuf_free(static_cast<rte_mbuf*>(answer));
}

namespace {
struct Launch {
    const std::function<void(unsigned)>* work;
    unsigned worker;
    std::counting_semaphore<>* done;
    std::exception_ptr failed;
};
int launched(void* argument) {
    auto* launch = static_cast<Launch*>(argument);
    try {
        (*launch->work)(launch->worker);
    } catch (...) {
        launch->failed = std::current_exception();
    }
    launch->done->release();
    return 0;
}
}  // namespace

void Bed::on_workers(unsigned count, const std::function<void(unsigned)>& work) {
    // DPDK's own waiting spins, and would take a CPU from the workers.
    std::counting_semaphore<> done(0);
    std::vector<Launch> launches;
    for (unsigned worker = 0; worker < count; ++worker)
        launches.push_back({&work, worker, &done, nullptr});
    for (Launch& launch : launches)
        if (rte_eal_remote_launch(launched, &launch, dpdk::lcore_of(launch.worker)) != 0)
            launched(&launch);
    for (unsigned worker = 0; worker < count; ++worker)
        done.acquire();
    rte_eal_mp_wait_lcore();
    for (const Launch& launch : launches)
        if (launch.failed) std::rethrow_exception(launch.failed);
}

void Bed::forget_flows() {
    auto& table = gateway_->flows;
    on_workers(1, [&](unsigned) {
        dpdk::Worker& first = worker(0);
        EngineCounters counters;
        first.begin();
        for (FlowId id = 1; id <= table.pool().last_id(); ++id)
            table.release(id, counters,
                          [this](const auto& flow) { gateway_->crowded.ended(flow); });
        first.end();
    });
    table.hurry_reclamation();
    on_workers(workers(), [&](unsigned number) {
        dpdk::Worker& one = worker(number);
        one.begin();
        // A round looks at some hundred flows and reclaims as many.
        for (std::uint32_t i = 0; i < table.capacity() / 64 + 4096; ++i)
            one.round(now_ms());
        one.end();
    });
}

std::uint64_t Bed::live_flows() const {
    // Reading counters: releases by `forget_flows` are not among them, so flows are counted.
    std::uint64_t live = 0;
    const auto& pool = gateway_->flows.pool();
    for (FlowId id = 1; id <= pool.last_id(); ++id)
        live += pool[id].status.load(std::memory_order_acquire) == FlowStatus::live ? 1U : 0U;
    return live;
}

std::uint64_t Bed::dropped() const {
    std::uint64_t total = 0;
    for (const auto& worker : workers_)
        for (const Counter& drop : worker->counters().drops)
            total += drop.value();
    return total;
}

}  // namespace noclash::bench
