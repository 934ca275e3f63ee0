// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "bench/ports/measure.hpp"

namespace noclash::bench {

/// Collects results: prints each as it comes, and keeps all for `--json`.
class Report {
  public:
    Report();

    static void heading(const std::string& text);
    /// A line of the table of costs.
    void cost(const std::string& policy, const std::string& what, const Cost& cost);
    /// Anything else worth telling.
    void detail(const std::string& name, double value, const std::string& unit);
    /// A result that counts. With a target, it is met when the value is not above it.
    void row(const std::string& name, double value, const std::string& unit,
             std::optional<double> target);

    /// @throws std::runtime_error when the file cannot be written
    void write(const std::string& path) const;

  private:
    nlohmann::ordered_json json_;
};

}  // namespace noclash::bench
