// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/own_segment.hpp"

#include <cstring>

#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/tcp_options.hpp"

namespace noclash::nat {

namespace {

/// Writes options one behind the other, filled up to whole words.
class OptionWriter {
  public:
    explicit OptionWriter(std::span<std::uint8_t> out) : out_(out) {}

    void begin(TcpOption option) {
        put(option.kind);
        put(option.length);
    }
    void put(std::uint8_t byte) { out_[length_++] = byte; }
    template <class Word>
    void word(Word value) {
        std::memcpy(out_.data() + length_, &value, sizeof value);
        length_ += sizeof value;
    }
    void fill_up() {
        while (length_ % 4 != 0)
            put(tcp_option::no_operation);
    }
    [[nodiscard]] std::size_t length() const { return length_; }

  private:
    std::span<std::uint8_t> out_;
    std::size_t length_ = 0;
};

std::size_t write_options(const TcpSegment& numbers, const SynOptions& options,
                          std::span<std::uint8_t> out) {
    OptionWriter to(out);
    const bool syn = numbers.has(tcp_flag::syn);
    if (syn) {
        to.begin(tcp_option::max_segment_size);
        to.word(Be16::from_host(options.max_segment_size));
    }
    if (syn && options.sack) to.begin(tcp_option::sack_permitted);
    if (options.timestamps) {
        // Where nearly all segments have them (RFC 7323, appendix A), and the rest stays even.
        while (to.length() % 4 != 2)
            to.put(tcp_option::no_operation);
        to.begin(tcp_option::timestamps);
        to.word(Be32::from_host(options.timestamp_value));
        to.word(Be32::from_host(options.timestamp_echo));
    }
    if (syn && options.window_scale != no_window_scale) {
        to.put(tcp_option::no_operation);
        to.begin(tcp_option::window_scale);
        to.put(options.window_scale);
    }
    to.fill_up();
    return to.length();
}

}  // namespace

template <>
OwnSegment<V4>::OwnSegment(const Tuple<V4>& tuple, const TcpSegment& numbers,
                           const SynOptions& options) {
    constexpr std::uint8_t ttl = 64;
    constexpr std::size_t headers = sizeof(IpHeader<V4>) + sizeof(TcpHeader);
    static_assert(most_bytes == headers + 20);
    const std::size_t tcp_bytes =
        sizeof(TcpHeader) + write_options(numbers, options, std::span(bytes_).subspan(headers));
    length_ = static_cast<std::uint8_t>(sizeof(IpHeader<V4>) + tcp_bytes);

    IpHeader<V4> ip{};
    ip.version_and_length = 0x45;
    ip.total_length = Be16::from_host(length_);
    ip.fragment = Be16::from_host(IpHeader<V4>::dont_fragment);  // Lets id be 0 (RFC 6864).
    ip.ttl = ttl;
    ip.protocol = ip_protocol::tcp;
    ip.source = tuple.source;
    ip.destination = tuple.destination;
    std::memcpy(bytes_.data(), &ip, sizeof ip);
    ip.checksum = checksum::finish(checksum::sum(std::span(bytes_).first(sizeof ip)));
    std::memcpy(bytes_.data(), &ip, sizeof ip);

    TcpHeader tcp{};
    tcp.source_port = tuple.source_port;
    tcp.destination_port = tuple.destination_port;
    tcp.sequence = Be32::from_host(numbers.sequence);
    tcp.acknowledgment = Be32::from_host(numbers.acknowledgment);
    tcp.data_offset = static_cast<std::uint8_t>(tcp_bytes / 4 << 4);
    tcp.flags = numbers.flags;
    tcp.window = Be16::from_host(numbers.window);
    const auto segment = bytes().subspan(sizeof ip);
    std::memcpy(segment.data(), &tcp, sizeof tcp);
    tcp.checksum = checksum::finish(checksum::sum(
        segment, checksum::pseudo_header<V4>(tuple.source, tuple.destination, ip_protocol::tcp,
                                             static_cast<std::uint32_t>(tcp_bytes))));
    std::memcpy(segment.data(), &tcp, sizeof tcp);
}

template <>
V4Address OwnSegment<V4>::destination() const {
    IpHeader<V4> ip;
    std::memcpy(&ip, bytes_.data(), sizeof ip);
    return ip.destination.get();
}

}  // namespace noclash::nat
