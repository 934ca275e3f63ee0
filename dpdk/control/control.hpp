// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "dpdk/control/adopt.hpp"
#include "dpdk/control/control_socket.hpp"
#include "dpdk/control/flow_flush.hpp"
#include "dpdk/control/reload.hpp"
#include "dpdk/control/service_control.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "dpdk/datapath/worker.hpp"

namespace noclash::dpdk {

/// Answers what `noclashctl` asks. Called by the control socket's threads, several at a time; it
/// only reads what workers write, except for `flows flush`, `reload` and changes of services.
class Control {
  public:
    Control(Gateway& gateway, const std::vector<std::unique_ptr<Worker>>& workers);

    /// @throws std::runtime_error whose text is the answer to a request that cannot be served
    void answer(const nlohmann::json& request, ResponseWriter& writer);

    /// Flows that live now; mappings and permissions are none.
    [[nodiscard]] std::uint64_t live_flows() const;
    [[nodiscard]] Reloader& reloader() { return reloader_; }
    [[nodiscard]] ServiceControl& services() { return services_; }
    /// What became of the flows of the process before this one. Before the control socket is there.
    void tell_adoption(const AdoptionReport& report) { adoption_ = report; }

  private:
    void flows_list(const nlohmann::json& request, ResponseWriter& writer);
    void flows_count(const nlohmann::json& request, ResponseWriter& writer);
    void flows_flush(const nlohmann::json& request, ResponseWriter& writer);
    void reload(const nlohmann::json& request, ResponseWriter& writer);
    void config_diff(const nlohmann::json& request, ResponseWriter& writer);
    void service_list(ResponseWriter& writer) const;
    void service_change(const nlohmann::json& request, ResponseWriter& writer);
    void service_heartbeat(const nlohmann::json& request, ResponseWriter& writer);
    void stats(ResponseWriter& writer) const;
    [[nodiscard]] nlohmann::json adoption() const;
    void ports(ResponseWriter& writer) const;
    void neighbors(ResponseWriter& writer) const;
    void rules(ResponseWriter& writer) const;
    void subscribers(const nlohmann::json& request, ResponseWriter& writer) const;
    void memory(ResponseWriter& writer) const;
    void version(ResponseWriter& writer) const;

    Gateway& gateway_;
    const std::vector<std::unique_ptr<Worker>>& workers_;
    std::uint64_t started_ms_;
    FlowFlush flush_;
    Reloader reloader_;
    ServiceControl services_;
    std::optional<AdoptionReport> adoption_;
};

}  // namespace noclash::dpdk
