// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/flow_stream.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "dpdk/state/stream_flow.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::string_view stream_magic{"NCFLOWS\0", 8};
constexpr std::size_t header_bytes = 112;
constexpr std::size_t most_header_bytes = 4096;
constexpr std::size_t release_size = 32;
constexpr std::size_t boot_id_size = 40;
constexpr std::uint64_t most_flows = std::uint64_t{1} << 28U;

/// Kinds of sections.
enum : std::uint32_t {
    end_kind = 0,
    policy_kind = 1,
    lasting_kind = 2,
    flows_kind = 3,
    services_kind = 4
};
/// A reader that does not know the section may not skip it.
constexpr std::uint32_t needed = 1;
constexpr std::size_t head_bytes = 16;
constexpr std::uint64_t most_section_bytes = std::uint64_t{64} << 20U;
constexpr std::size_t flows_section_bytes = std::size_t{256} << 10U;
constexpr std::size_t piece_bytes = std::size_t{1} << 20U;

std::uint64_t checksum_of(std::span<const std::uint8_t> bytes) {
    return XXH3_64bits(bytes.data(), bytes.size());
}

KeptPolicy read_policy(ByteReader& from) {
    KeptPolicy policy;
    const auto rules = from.number<std::uint32_t>();
    if (rules > nat::Identities::most_rules) throw StreamError("it has too many names of rules");
    for (std::uint32_t i = 0; i < rules; ++i)
        policy.identities.rules.push_back(from.text<std::uint16_t>());
    const auto pools = from.number<std::uint32_t>();
    if (pools > nat::Identities::most_pools) throw StreamError("it has too many names of pools");
    for (std::uint32_t i = 0; i < pools; ++i) {
        policy.identities.pools.push_back(from.text<std::uint16_t>());
        const auto first = from.number<std::uint64_t>();
        policy.identities.pairing_keys.push_back({first, from.number<std::uint64_t>()});
    }
    policy.configuration_file = from.text<std::uint32_t>();
    policy.configuration = from.text<std::uint32_t>();
    try {
        static_cast<void>(nat::Identities(policy.identities));
    } catch (const std::length_error& error) {
        throw StreamError(fmt::format("its names are implausible: {}", error.what()));
    }
    return policy;
}

/// What a policy says of services, of which releases before them know nothing.
StreamServices read_services(ByteReader& from) {
    StreamServices services;
    for (auto& word : services.key)
        word = from.number<std::uint64_t>();
    services.text = from.text<std::uint32_t>();
    return services;
}

StreamLasting read_lasting(ByteReader& from) {
    StreamLasting lasting;
    if (from.number<std::uint32_t>() != lasting.clocks.size())
        throw StreamError("it has another number of timestamp clocks");
    for (auto& clock : lasting.clocks) {
        clock.value = from.number<std::uint32_t>();
        clock.ahead_ms = from.number<std::uint32_t>();
        if (clock.ahead_ms > nat::TimestampClocks<Production>::most_ahead_ms)
            throw StreamError("a timestamp clock is implausible");
    }
    for (auto& word : lasting.packet_ids.key)
        word = from.number<std::uint64_t>();
    if (from.number<std::uint32_t>() != lasting.packet_ids.counts.size())
        throw StreamError("it has another number of counters of identifications");
    for (auto& count : lasting.packet_ids.counts)
        count = from.number<std::uint32_t>();
    return lasting;
}

}  // namespace

FlowStreamWriter::FlowStreamWriter(Sink sink, const StreamHeader& header) : sink_(std::move(sink)) {
    ByteWriter to;
    to.raw(stream_magic.data(), stream_magic.size());
    to.number(flow_stream_version);
    to.number(static_cast<std::uint32_t>(header_bytes));
    to.field(header.release, release_size);
    to.field(header.boot_id, boot_id_size);
    to.number(header.wall_ms);
    to.number(header.monotonic_ms);
    to.number(header.flows);
    to.number(checksum_of(to.bytes()));
    sink_(to.bytes());
}

void FlowStreamWriter::section(std::uint32_t kind, ByteWriter& content) {
    ByteWriter to;
    to.number(kind);
    to.number(kind == services_kind ? 0U : needed);
    to.number(static_cast<std::uint64_t>(content.bytes().size()));
    to.raw(content.bytes().data(), content.bytes().size());
    to.number(checksum_of(to.bytes()));
    sink_(to.bytes());
    content.bytes().clear();
}

void FlowStreamWriter::write(const KeptPolicy& policy) {
    const nat::IdentityTable& names = policy.identities;
    ByteWriter to;
    if (names.service_key != nat::SecretKey{} || !policy.services.empty()) {
        for (const std::uint64_t word : names.service_key)
            to.number(word);
        to.text<std::uint32_t>(policy.services);
        section(services_kind, to);
    }
    to.number(static_cast<std::uint32_t>(names.rules.size()));
    for (const std::string& name : names.rules)
        to.text<std::uint16_t>(name);
    to.number(static_cast<std::uint32_t>(names.pools.size()));
    for (std::size_t i = 0; i < names.pools.size(); ++i) {
        to.text<std::uint16_t>(names.pools[i]);
        for (const std::uint64_t word : names.pairing_keys[i])
            to.number(word);
    }
    to.text<std::uint32_t>(policy.configuration_file);
    to.text<std::uint32_t>(policy.configuration);
    section(policy_kind, to);
}

void FlowStreamWriter::write(const StreamLasting& lasting) {
    ByteWriter to;
    to.number(static_cast<std::uint32_t>(lasting.clocks.size()));
    for (const auto& clock : lasting.clocks) {
        to.number(clock.value);
        to.number(clock.ahead_ms);
    }
    for (const std::uint64_t word : lasting.packet_ids.key)
        to.number(word);
    to.number(static_cast<std::uint32_t>(lasting.packet_ids.counts.size()));
    for (const std::uint32_t count : lasting.packet_ids.counts)
        to.number(count);
    section(lasting_kind, to);
}

void FlowStreamWriter::write(const StreamFlow& flow) {
    write_flow(flow, flows_);
    if (flows_.bytes().size() >= flows_section_bytes) flush_flows();
}

void FlowStreamWriter::flush_flows() {
    if (!flows_.bytes().empty()) section(flows_kind, flows_);
}

void FlowStreamWriter::end() {
    flush_flows();
    ByteWriter nothing;
    section(end_kind, nothing);
}

FlowStreamReader::FlowStreamReader(Source source) : source_(std::move(source)) {
    section_.resize(header_bytes);
    fill(std::span(section_).first(stream_magic.size()));
    if (!std::ranges::equal(std::span(section_).first(stream_magic.size()), stream_magic))
        throw StreamError("it is no stream of flows");
    fill(std::span(section_).subspan(stream_magic.size()));
    ByteReader from(section_, "its header");
    static_cast<void>(from.take(stream_magic.size()));
    const auto version = from.number<std::uint32_t>();
    const auto size = from.number<std::uint32_t>();
    header_.release = from.field(release_size);
    if (version == 0 || version > flow_stream_version) {
        throw StreamError(fmt::format("it is of version {}, and this release reads version {}",
                                      version, flow_stream_version));
    }
    if (size < header_bytes || size > most_header_bytes)
        throw StreamError("it is damaged: its header has an implausible length");
    header_.boot_id = from.field(boot_id_size);
    header_.wall_ms = from.number<std::uint64_t>();
    header_.monotonic_ms = from.number<std::uint64_t>();
    header_.flows = from.number<std::uint64_t>();
    section_.resize(size);
    fill(std::span(section_).subspan(header_bytes));
    verify("its header");
    if (header_.flows > most_flows) throw StreamError("it has an implausible number of flows");
}

void FlowStreamReader::fill(std::span<std::uint8_t> bytes) {
    while (!bytes.empty()) {
        const std::size_t got = source_(bytes);
        if (got == 0) throw StreamError("it is cut: its end is missing");
        bytes = bytes.subspan(std::min(got, bytes.size()));
    }
}

/// Compares the checksum that comes next with that of `section_`.
void FlowStreamReader::verify(const char* what) {
    std::array<std::uint8_t, sizeof(std::uint64_t)> stored{};
    fill(stored);
    if (ByteReader(stored, what).number<std::uint64_t>() != checksum_of(section_))
        throw StreamError(fmt::format("it is damaged: the checksum of {} is wrong", what));
}

/// Reads the next section that is known; returns its kind.
std::uint32_t FlowStreamReader::next_section() {
    for (;;) {
        section_.resize(head_bytes);
        fill(section_);
        ByteReader head(section_, "a section");
        const auto kind = head.number<std::uint32_t>();
        const auto flags = head.number<std::uint32_t>();
        const auto size = head.number<std::uint64_t>();
        if (size > most_section_bytes)
            throw StreamError("it is damaged: a section has an implausible length");
        // In pieces: the length may be wrong, and memory is taken for what comes alone.
        while (section_.size() < head_bytes + size) {
            const std::size_t begin = section_.size();
            const auto rest = static_cast<std::size_t>(head_bytes + size - begin);
            section_.resize(begin + std::min(piece_bytes, rest));
            fill(std::span(section_).subspan(begin));
        }
        verify("a section");
        if (kind <= services_kind) return kind;
        if ((flags & needed) != 0)
            throw StreamError(
                fmt::format("it has a section of kind {}, which this release does "
                            "not know and which may not be skipped",
                            kind));
    }
}

void FlowStreamReader::take(std::uint32_t kind, Content& content) {
    ByteReader from(std::span<const std::uint8_t>(section_).subspan(head_bytes), "a section");
    if (kind == services_kind) {
        if (has_policy_ || services_) throw StreamError("its services stand in a wrong place");
        services_ = read_services(from);
        return;
    }
    if (kind == policy_kind) {
        if (std::exchange(has_policy_, true)) throw StreamError("it has two policies");
        KeptPolicy policy = read_policy(from);
        if (services_) {
            policy.identities.service_key = services_->key;
            policy.services = std::move(services_->text);
        }
        content.policy(std::move(policy));
        return;
    }
    if (!has_policy_) throw StreamError("its policy is missing");
    if (kind == lasting_kind) {
        if (std::exchange(has_lasting_, true)) throw StreamError("it has two sets of clocks");
        content.lasting(read_lasting(from));
        return;
    }
    while (from.left() > 0) {
        if (++flows_ > header_.flows) throw StreamError("it has more flows than it says");
        content.flow(read_flow(from));
    }
}

void FlowStreamReader::read(Content& content) {
    for (std::uint32_t kind = next_section(); kind != end_kind; kind = next_section())
        take(kind, content);
    if (!has_policy_) throw StreamError("its policy is missing");
    if (flows_ != header_.flows)
        throw StreamError(
            fmt::format("it says that it has {} flows, and has {}", header_.flows, flows_));
    std::array<std::uint8_t, 1> more{};
    if (source_(more) != 0) throw StreamError("something follows its end");
}

}  // namespace noclash::dpdk
