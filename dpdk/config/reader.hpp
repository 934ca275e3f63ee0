// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "dpdk/config/error.hpp"

namespace noclash::dpdk {

/// A place in the configuration file, counted from 1.
struct Where {
    std::uint32_t line = 1;
    std::uint32_t column = 1;
};

/// Whether findings name the line and column that they are about: tables that come from elsewhere
/// than a file have none.
enum class Places : std::uint8_t { lines, none };

/// Collects what is wrong with a configuration, so that one run reports all of it.
class Findings {
  public:
    /// @param file  how findings name the file, or, when `places` says so, what stands in none
    explicit Findings(std::string file, Places places = Places::lines)
        : file_(std::move(file)), places_(places) {}

    /// Notes `file:line:column: section key: what; expected ...`, or, of a warning, `...: warning:
    /// what; advice`. `section`, `key` and `expected` may be empty.
    /// @param table  of the section
    void add(Severity severity, Where where, const toml::table* table, std::string_view section,
             std::string_view key, std::string_view what, std::string_view expected);
    /// Whether a fault has been noted about this table.
    [[nodiscard]] bool is_faulty(const toml::table* table) const { return faulty_.contains(table); }
    /// Notes a fault about the text itself.
    void add_syntax_error(const toml::parse_error& error);

    /// Warnings in the order of the file.
    /// @throws ConfigError with all findings, when a fault is among them
    [[nodiscard]] std::vector<Finding> take();

  private:
    std::string file_;
    Places places_;
    std::vector<Finding> findings_;
    std::unordered_set<const toml::table*> faulty_;
};

/// A string of the configuration, and where it stands.
struct Text {
    std::string value;
    Where where;
};

/// A value, or one of the values of an array, where several types may stand. Lives as long as the
/// table that it stands in.
class Element {
  public:
    explicit Element(const toml::node& node) : node_(&node) {}

    [[nodiscard]] Where where() const;
    [[nodiscard]] std::optional<std::int64_t> integer() const;
    [[nodiscard]] std::optional<std::string_view> text() const;
    [[nodiscard]] std::optional<bool> boolean() const;
    [[nodiscard]] bool is_table() const { return node_->is_table(); }

  private:
    friend class Section;
    const toml::node* node_;
};

/// One table of the file. Every reader returns nothing when the key is absent, and also when its
/// value is unfit; then the fault has been noted.
class Section {
  public:
    /// `title` is how faults name it: empty for the top of the file, else like `[memory]`.
    Section(const toml::table& table, std::string title, Findings& findings)
        : Section(table, std::move(title), findings, table) {}

    [[nodiscard]] bool has(std::string_view key) const { return table_->contains(key); }
    [[nodiscard]] bool is_integer(std::string_view key) const;
    /// Notes a fault for every key that is not in `known`, with the nearest known one.
    void allow_only(std::span<const std::string_view> known) const;
    void allow_only(std::initializer_list<std::string_view> known) const;
    /// Notes a fault when the key is absent.
    bool require(std::string_view key, std::string_view expected) const;
    /// Notes a fault about a key that is there.
    void fault(std::string_view key, std::string_view what, std::string_view expected) const;
    void fault_at(Where where, std::string_view key, std::string_view what,
                  std::string_view expected) const;
    /// Notes a warning; about a key that may be absent, or, when `key` is empty, the whole section.
    void warn(std::string_view key, std::string_view what, std::string_view advice) const;
    void warn_at(Where where, std::string_view key, std::string_view what,
                 std::string_view advice) const;
    /// Whether a fault has been noted about this section. What does not fit together is looked at
    /// only where it has none: a second fault might be no fault but the first one's echo.
    [[nodiscard]] bool is_faulty() const { return findings_->is_faulty(blamed_); }
    /// In the file, from 1: where the section begins.
    [[nodiscard]] std::uint32_t line() const;

    [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key, std::int64_t low,
                                                      std::int64_t high) const;
    [[nodiscard]] std::optional<bool> boolean(std::string_view key) const;
    [[nodiscard]] std::optional<Text> text(std::string_view key, std::string_view expected) const;
    /// A string, or an array of strings that is not empty.
    [[nodiscard]] std::vector<Text> texts(std::string_view key, std::string_view expected) const;
    [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key, std::int64_t low,
                                                     std::int64_t high) const;
    /// The value of the key, or those of its array, of whatever type.
    [[nodiscard]] std::vector<Element> elements(std::string_view key) const;
    /// An element of `key` that is a table; what is wrong with it is wrong with this section.
    [[nodiscard]] Section part(std::string_view key, const Element& element) const;
    /// Notes that an element of `key` has the wrong type.
    void wrong_type(std::string_view key, const Element& element, std::string_view expected) const;
    /// The index of the value in `choices`.
    [[nodiscard]] std::optional<std::size_t> choice(
        std::string_view key, std::span<const std::string_view> choices) const;
    /// Stores an integer in `into` when there is a fit one.
    template <class Integer>
    void read(std::string_view key, Integer& into, std::int64_t low, std::int64_t high) const {
        if (const auto value = integer(key, low, high)) into = static_cast<Integer>(*value);
    }

    /// The table under `key`, `[key]` in the file.
    [[nodiscard]] std::optional<Section> table(std::string_view key) const;
    /// The tables under `key`, `[[key]]` in the file; titled `[key "name"]`, or `[key #2]` when
    /// they have no name.
    [[nodiscard]] std::vector<Section> tables(std::string_view key) const;

  private:
    /// @param blamed  the table that faults are noted about
    Section(const toml::table& table, std::string title, Findings& findings,
            const toml::table& blamed)
        : table_(&table), title_(std::move(title)), findings_(&findings), blamed_(&blamed) {}

    [[nodiscard]] Where position(std::string_view key) const;
    void wrong_type(std::string_view key, const toml::node& node, std::string_view expected) const;

    const toml::table* table_;
    std::string title_;
    Findings* findings_;
    const toml::table* blamed_;
};

/// The word of `known` that `word` was probably meant to be; empty when none is near.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::span<const std::string_view> known);

}  // namespace noclash::dpdk
