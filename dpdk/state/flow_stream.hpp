// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Streams of flows
//
// The flows of an instance and what is needed to go on with them, in a form that does not depend on
// how a record is laid out: what one release writes, each later one reads. docs/flow-stream.md
// describes every byte.

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dpdk/state/kept_policy.hpp"
#include "dpdk/state/lasting.hpp"
#include "dpdk/state/stream_bytes.hpp"
#include "engine/tuple.hpp"

namespace noclash::dpdk {

inline constexpr std::uint32_t flow_stream_version = 1;

/// The beginning of a stream.
struct StreamHeader {
    std::string release;             ///< that wrote it
    std::string boot_id;             ///< of the kernel that it was written under
    std::uint64_t wall_ms = 0;       ///< when, since 1970
    std::uint64_t monotonic_ms = 0;  ///< when, as `now_ms`
    std::uint64_t flows = 0;         ///< so many follow
};

/// The clocks and counters that go on.
struct StreamLasting {
    std::array<nat::TimestampClocks<Production>::Kept, nat::TimestampClocks<Production>::clocks>
        clocks{};
    nat::PacketIds<V4>::Kept packet_ids;
};

/// A flow, mapping, permission or incarnation. Names are as in `Flow`; numbers that are moments
/// there are the time that is left, in ms.
struct StreamFlow {
    std::array<Tuple<V4>, 2> tuples{};  ///< by Direction; `reserved` is the kind
    bool ending = false;                ///< somebody had begun to end it
    std::uint8_t protocol_state = 0;
    std::uint8_t marks = 0;
    std::uint8_t protocol_detail = 0;
    std::uint8_t opening_detail = 0;   ///< of proxied flows; else 0
    std::uint32_t sequence_shift = 0;  ///< likewise: `Flow::pool_link`
    std::uint16_t rule = 0;
    std::uint32_t remaining_ms = 0;
    std::uint32_t protocol_word = 0;
    std::array<std::uint64_t, 2> packets{};  ///< by Direction
    std::array<std::uint64_t, 2> bytes{};
    /// Of a mapping, `outward_until` is the time left, as a signed number.
    std::array<std::uint32_t, 7> memory{};

    friend bool operator==(const StreamFlow&, const StreamFlow&) = default;
};

/// What a policy says of services.
struct StreamServices {
    nat::SecretKey key{};
    std::string text;
};

/// Writes a stream: the header, then the policy, what lasts, all flows, and the end.
class FlowStreamWriter {
  public:
    /// Takes the next bytes.
    using Sink = std::function<void(std::span<const std::uint8_t>)>;

    FlowStreamWriter(Sink sink, const StreamHeader& header);
    void write(const KeptPolicy& policy);
    void write(const StreamLasting& lasting);
    void write(const StreamFlow& flow);
    /// Last.
    void end();

  private:
    void section(std::uint32_t kind, ByteWriter& content);
    void flush_flows();

    Sink sink_;
    ByteWriter flows_;
};

/// Reads a stream, and keeps no more than one section of it.
class FlowStreamReader {
  public:
    /// Fills the bytes from the front and says how many it has filled; 0: at the end.
    using Source = std::function<std::size_t(std::span<std::uint8_t>)>;
    /// What takes the content, in its order.
    class Content {
      public:
        virtual ~Content() = default;
        /// Once, before any flow. Its `instance` is not set.
        virtual void policy(KeptPolicy policy) = 0;
        virtual void lasting(const StreamLasting& lasting) = 0;
        virtual void flow(const StreamFlow& flow) = 0;
    };

    /// Reads the header. @throws StreamError
    explicit FlowStreamReader(Source source);
    [[nodiscard]] const StreamHeader& header() const { return header_; }
    /// Reads the rest.
    /// @throws StreamError when it is cut, damaged, or says what no release writes; then what the
    ///         content has taken so far is worth nothing
    void read(Content& content);

  private:
    void fill(std::span<std::uint8_t> bytes);
    std::uint32_t next_section();
    void verify(const char* what);
    void take(std::uint32_t kind, Content& content);

    Source source_;
    StreamHeader header_;
    std::vector<std::uint8_t> section_;       ///< its head and content
    std::uint64_t flows_ = 0;                 ///< that have been read
    std::optional<StreamServices> services_;  ///< they stand before the policy
    bool has_policy_ = false;
    bool has_lasting_ = false;
};

}  // namespace noclash::dpdk
