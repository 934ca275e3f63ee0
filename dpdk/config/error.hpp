// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace noclash::dpdk {

enum class Severity : std::uint8_t {
    fault,    ///< cannot work: the configuration is refused
    warning,  ///< works, but is hardly meant; with `--strict` refused, too
};

/// Something that is wrong with a configuration.
struct Finding {
    Severity severity = Severity::fault;
    std::uint32_t line = 0;  ///< in the file, from 1; 0: the file as a whole
    std::uint32_t column = 0;
    std::string section;  ///< as `[rule "web"]`; may be empty, as `key`
    std::string key;
    std::string text;  ///< a whole line: `file:line:column: section key: what; expected ...`
};

/// The texts of those findings that have this severity.
[[nodiscard]] inline std::vector<std::string> texts_of(const std::vector<Finding>& findings,
                                                       Severity severity) {
    std::vector<std::string> texts;
    for (const Finding& finding : findings)
        if (finding.severity == severity) texts.push_back(finding.text);
    return texts;
}

/// A configuration that cannot be used. `what()` is every fault found, one a line, in the order of
/// the file.
class ConfigError : public std::runtime_error {
  public:
    /// @param findings  with a fault at least; warnings may be among them
    explicit ConfigError(std::vector<Finding> findings)
        : std::runtime_error(join(texts_of(findings, Severity::fault))),
          findings_(std::move(findings)) {}
    /// A fault of the file as a whole.
    explicit ConfigError(std::string fault)
        : ConfigError({Finding{Severity::fault, 0, 0, "", "", std::move(fault)}}) {}

    [[nodiscard]] std::vector<std::string> faults() const {
        return texts_of(findings_, Severity::fault);
    }
    /// Faults and warnings in the order of the file.
    [[nodiscard]] const std::vector<Finding>& findings() const { return findings_; }

  private:
    static std::string join(const std::vector<std::string>& faults) {
        std::string text;
        for (const std::string& fault : faults) {
            if (!text.empty()) text += '\n';
            text += fault;
        }
        return text;
    }

    std::vector<Finding> findings_;
};

}  // namespace noclash::dpdk
