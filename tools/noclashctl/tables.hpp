// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace noclash::tools {

/// A table for people: columns as wide as their widest cell, numbers to the right.
class TextTable {
  public:
    explicit TextTable(std::vector<std::string> header) : lines_{std::move(header)} {}

    /// `cells` are as many as the header's.
    void add(std::vector<std::string> cells) { lines_.push_back(std::move(cells)); }
    [[nodiscard]] std::string text() const;

  private:
    std::vector<std::vector<std::string>> lines_;
};

/// `1 change`, `1,204 changes`.
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view what);

/// The rows of `ports`, `neighbors` or `rules`: one column for each of `columns`, and those fields
/// that a row lacks as `-`.
[[nodiscard]] std::string rows_table(const std::vector<nlohmann::json>& rows,
                                     const std::vector<std::string>& columns);

/// The rows of `stats`: a line for each worker with the counters of `conntrack -S`, those of the
/// datapath, and the drop reasons that occurred, with what they mean.
[[nodiscard]] std::string stats_text(const std::vector<nlohmann::json>& workers);

}  // namespace noclash::tools
