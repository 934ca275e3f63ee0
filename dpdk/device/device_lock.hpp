// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dpdk/config/config.hpp"

namespace noclash::dpdk {

/// While it lives, no other noclash of this network namespace uses the devices of a configuration:
/// two daemons on one interface would both forward every packet.
///
/// A lock is a name in the kernel's abstract socket namespace, of which each network namespace has
/// its own, as of interfaces. It ends with the process, however that ends, needs no directory, and
/// tells who holds it. An interface is locked by its name, which outlives the interface when it is
/// deleted and made again, and by its index, which outlives a change of the name. PCI devices are
/// locked, too; that they are not shared across namespaces is vfio's concern.
class DeviceLock {
  public:
    /// Before any device is touched.
    /// @throws std::runtime_error that names the port, the device, and the process that uses it
    explicit DeviceLock(const Config& config);
    DeviceLock(const DeviceLock&) = delete;
    DeviceLock& operator=(const DeviceLock&) = delete;
    ~DeviceLock();

  private:
    void take(const PortConfig& port, const std::string& name, const std::string& device);
    void release();

    std::vector<int> sockets_;
};

}  // namespace noclash::dpdk
