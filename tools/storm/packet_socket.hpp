// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>

#include "tools/storm/frame.hpp"

namespace noclash::tools {

/// The machine does not let us measure: no such interface, no privilege, no answer.
class EnvironmentError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A file descriptor that closes itself.
class FileDescriptor {
  public:
    explicit FileDescriptor(int number) : number_(number) {}
    FileDescriptor(FileDescriptor&& other) noexcept;
    FileDescriptor(const FileDescriptor&) = delete;
    FileDescriptor& operator=(const FileDescriptor&) = delete;
    FileDescriptor& operator=(FileDescriptor&&) = delete;
    ~FileDescriptor();

    [[nodiscard]] int get() const { return number_; }

  private:
    int number_;
};

/// Sends whole Ethernet frames, past the queueing discipline: what is sent reaches the peer of a
/// veth pair before send() returns, on the caller's CPU. One thread.
class FrameSender {
  public:
    explicit FrameSender(const std::string& interface);

    /// Tries again while the device has no room.
    /// @throws EnvironmentError when it has none for a second, or the interface is down.
    void send(std::span<const std::uint8_t> frame);
    /// Times that the device had no room.
    [[nodiscard]] std::uint64_t retries() const { return retries_; }

  private:
    std::string interface_;
    FileDescriptor socket_;
    std::uint64_t retries_ = 0;
};

/// Sees all IPv4 frames that arrive at an interface, whatever the host then does with them. They
/// are copied into a ring that is laid out beforehand: no frame costs the kernel an allocation,
/// which would disturb what is measured. One thread.
class FrameReceiver {
  public:
    explicit FrameReceiver(const std::string& interface);
    FrameReceiver(const FrameReceiver&) = delete;
    FrameReceiver& operator=(const FrameReceiver&) = delete;
    ~FrameReceiver();

    /// Hands over the frames that are there, long ones cut off (a probe is short).
    void drain(const std::function<void(std::span<const std::uint8_t>)>& take);
    /// Frames that found the ring full, since the last call.
    [[nodiscard]] std::uint64_t kernel_drops();

  private:
    FileDescriptor socket_;
    std::span<std::uint8_t> ring_;
    std::size_t next_ = 0;  // frame
};

[[nodiscard]] MacAddress mac_of_interface(const std::string& interface);
[[nodiscard]] MacAddress parse_mac(const std::string& text);

/// Lets the host's kernel resolve a neighbour on `interface`; tries for five seconds.
[[nodiscard]] MacAddress resolve_neighbor(const std::string& interface, V4Address neighbor);

}  // namespace noclash::tools
