// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>

namespace noclash::dpdk {

/// While it lives, what DPDK's libraries say goes to our log at debug level, and the latest lines
/// are kept for error messages. One at a time.
class DpdkLog {
  public:
    DpdkLog();
    DpdkLog(const DpdkLog&) = delete;
    DpdkLog& operator=(const DpdkLog&) = delete;
    ~DpdkLog();

    /// Likewise what libbpf and libxdp say, which print to standard error by themselves; after
    /// DPDK has loaded its drivers. It stays so.
    static void include_drivers();

    /// Forgets the lines kept so far. From any thread, with or without a `DpdkLog`.
    static void forget();
    /// The lines since, joined by "; ". From any thread.
    [[nodiscard]] static std::string recent();

  private:
    std::FILE* stream_;
};

}  // namespace noclash::dpdk
