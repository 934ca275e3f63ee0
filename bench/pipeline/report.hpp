// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "bench/pipeline/trial.hpp"

namespace noclash::bench {

/// Collects results: prints each as it comes, and keeps all for `--json`.
class PipelineReport {
  public:
    PipelineReport();

    /// Tells somebody who waits what is being done.
    static void progress(const std::string& what);

    enum class Goal : std::uint8_t { at_least, at_most };
    /// A result that counts. Nothing: it could not be measured.
    void row(const std::string& name, std::optional<double> value, const std::string& unit,
             std::optional<double> target = {}, Goal goal = Goal::at_least);
    /// Million packets a second; with the quartiles, and whether it was disturbed, as detail.
    void rate(const std::string& name, const Cost& cost, std::optional<double> target = {});
    /// A line of `--profile`: cycles a packet, by step.
    void profile(const std::string& name, const nat::StepCycles& cycles, std::uint64_t packets);
    void detail(const nlohmann::ordered_json& entry) { json_["details"].push_back(entry); }
    void remark(const std::string& text);
    /// When all has been measured: what the rows have to be read with.
    void conclude();
    /// The value of a row that is there already, when it could be measured.
    [[nodiscard]] std::optional<double> value(const std::string& name) const;

    /// @throws std::runtime_error when the file cannot be written
    void write(const std::string& path) const;

  private:
    nlohmann::ordered_json json_;
    std::vector<std::string> disturbed_;  ///< rows
};

}  // namespace noclash::bench
