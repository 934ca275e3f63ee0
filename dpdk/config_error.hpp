// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace noclash::dpdk {

/// A configuration that cannot be used. `what()` is every fault found, one a line, in the order of
/// the file.
class ConfigError : public std::runtime_error {
  public:
    explicit ConfigError(std::vector<std::string> faults)
        : std::runtime_error(join(faults)), faults_(std::move(faults)) {}

    [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }

  private:
    static std::string join(const std::vector<std::string>& faults) {
        std::string text;
        for (const std::string& fault : faults) {
            if (!text.empty()) text += '\n';
            text += fault;
        }
        return text;
    }

    std::vector<std::string> faults_;
};

}  // namespace noclash::dpdk
