// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dpdk/gateway.hpp"

namespace noclash::dpdk {

/// One flow as it was at some moment, copied for somebody who looks at flows.
struct FlowView {
    FlowId id;
    Tuple<V4> original;
    Tuple<V4> reply;
    std::uint64_t packets[2];
    std::uint64_t bytes[2];
    std::int32_t timeout_ms;  ///< what is left
    std::uint16_t rule;
    std::uint16_t worker;
    std::uint8_t protocol_state;
    std::uint8_t marks;
    std::uint32_t references;  ///< of a mapping or permission: flows that hold it

    /// A mapping, permission or incarnation, no connection.
    [[nodiscard]] bool is_wildcard() const { return original.reserved != 0; }
    /// What may become of a live connection (nat/incarnations.hpp).
    [[nodiscard]] bool is_incarnation() const {
        return original.reserved == nat::wildcard::incarnation;
    }
    /// The name as conntrack prints it; empty for a protocol without states.
    [[nodiscard]] std::string_view state() const;
};

/// Which flows somebody wants to see; what is absent matches any. Mappings, permissions and
/// incarnations are seen when `state` names them, else not.
struct FlowFilter {
    std::optional<Prefix<V4>> source;       ///< of the original tuple
    std::optional<Prefix<V4>> destination;  ///< of the original tuple
    std::optional<Prefix<V4>> address;      ///< anywhere in either tuple
    std::optional<std::uint16_t> port;      ///< anywhere in either tuple
    std::optional<std::uint16_t> source_port;
    std::optional<std::uint16_t> destination_port;
    std::optional<std::uint8_t> protocol;
    std::optional<std::string> state;
    std::optional<std::uint16_t> zone;

    /// @throws std::runtime_error that names the key and what was expected
    [[nodiscard]] static FlowFilter parse(const nlohmann::json& filter);
    [[nodiscard]] bool matches(const FlowView& flow) const;
};

/// The JSON object of a flow, as `noclashctl` takes it.
[[nodiscard]] std::string to_json(const FlowView& flow, const Config& config);

/// A reader's place in the table's quiescence, held by a control connection while it looks at
/// flows. There are as many as the control socket admits clients.
class FlowReader {
  public:
    explicit FlowReader(Gateway& gateway);
    FlowReader(const FlowReader&) = delete;
    FlowReader& operator=(const FlowReader&) = delete;
    ~FlowReader();

    /// Copies the live flows among records `first` .. `first + count - 1` that match. The reader is
    /// in a critical section meanwhile and out of it afterwards, so that neither a long dump nor a
    /// slow client keeps a record from being reused; no worker waits for it in any case.
    void copy(FlowId first, std::uint32_t count, const FlowFilter& filter,
              std::vector<FlowView>& out);

    /// Ends the flow if it still is the one that was seen.
    /// A mapping ends with its last flow.
    bool flush(const FlowView& flow, EngineCounters& counters, nat::MappingCounters& mappings);

  private:
    Gateway& gateway_;
    unsigned place_;
    unsigned reader_;
};

}  // namespace noclash::dpdk
