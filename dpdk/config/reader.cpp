// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace noclash::dpdk {

namespace {

Where where_of(const toml::source_region& source) {
    return {std::max<std::uint32_t>(source.begin.line, 1),
            std::max<std::uint32_t>(source.begin.column, 1)};
}

std::string_view type_name(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::table:
            return "a table";
        case toml::node_type::array:
            return "an array";
        case toml::node_type::string:
            return "a string";
        case toml::node_type::integer:
            return "an integer";
        case toml::node_type::floating_point:
            return "a fraction";
        case toml::node_type::boolean:
            return "a boolean";
        default:
            return "a date or time";
    }
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
    // A key that shares less than about two thirds of its letters is a different word; and no
    // word that is much longer than every known one is worth measuring.
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(word.size() / 3, 1) + 1;
    if (word.size() > 64) return best;
    for (const std::string_view candidate : known) {
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

void Findings::add(Severity severity, Where where, const toml::table* table,
                   std::string_view section, std::string_view key, std::string_view what,
                   std::string_view expected) {
    const bool warning = severity == Severity::warning;
    std::string text = file_;
    if (places_ == Places::lines) text += fmt::format(":{}:{}", where.line, where.column);
    text += warning ? ": warning: " : ": ";
    if (!section.empty()) text += fmt::format("{}{} ", section, key.empty() ? ":" : "");
    if (!key.empty()) text += fmt::format("{}: ", key);
    text += what;
    if (!expected.empty()) text += fmt::format("; {}{}", warning ? "" : "expected ", expected);
    findings_.push_back(
        {severity, where.line, where.column, std::string(section), std::string(key), text});
    if (!warning) faulty_.insert(table);
}

void Findings::add_syntax_error(const toml::parse_error& error) {
    const auto& begin = error.source().begin;
    findings_.push_back({Severity::fault, begin.line, begin.column, "", "",
                         fmt::format("{}:{}:{}: no valid TOML: {}", file_, begin.line, begin.column,
                                     error.description())});
}

std::vector<Finding> Findings::take() {
    std::ranges::stable_sort(findings_, {}, [](const Finding& finding) {
        return std::pair(finding.line, finding.column);
    });
    // A section that is read twice shows its faults twice.
    findings_.erase(std::unique(findings_.begin(), findings_.end(),
                                [](const auto& a, const auto& b) { return a.text == b.text; }),
                    findings_.end());
    if (std::ranges::find(findings_, Severity::fault, &Finding::severity) != findings_.end())
        throw ConfigError(std::move(findings_));
    return std::move(findings_);
}

Where Element::where() const {
    return where_of(node_->source());
}

std::optional<std::int64_t> Element::integer() const {
    const auto* value = node_->as_integer();
    return value != nullptr ? std::optional(value->get()) : std::nullopt;
}

std::optional<bool> Element::boolean() const {
    const auto* value = node_->as_boolean();
    return value != nullptr ? std::optional(value->get()) : std::nullopt;
}

std::optional<std::string_view> Element::text() const {
    const auto* value = node_->as_string();
    return value != nullptr ? std::optional<std::string_view>(value->get()) : std::nullopt;
}

Where Section::position(std::string_view key) const {
    const toml::node* node = table_->get(key);
    return where_of(node != nullptr ? node->source() : table_->source());
}

bool Section::is_integer(std::string_view key) const {
    const toml::node* node = table_->get(key);
    return node != nullptr && node->is_integer();
}

void Section::fault(std::string_view key, std::string_view what, std::string_view expected) const {
    fault_at(position(key), key, what, expected);
}

void Section::fault_at(Where where, std::string_view key, std::string_view what,
                       std::string_view expected) const {
    findings_->add(Severity::fault, where, blamed_, title_, key, what, expected);
}

void Section::warn(std::string_view key, std::string_view what, std::string_view advice) const {
    warn_at(position(key), key, what, advice);
}

void Section::warn_at(Where where, std::string_view key, std::string_view what,
                      std::string_view advice) const {
    findings_->add(Severity::warning, where, blamed_, title_, key, what, advice);
}

std::uint32_t Section::line() const {
    return where_of(table_->source()).line;
}

void Section::wrong_type(std::string_view key, const toml::node& node,
                         std::string_view expected) const {
    fault_at(where_of(node.source()), key, fmt::format("is {}", type_name(node)), expected);
}

void Section::allow_only(std::initializer_list<std::string_view> known) const {
    allow_only(std::span(known.begin(), known.size()));
}

void Section::allow_only(std::span<const std::string_view> known) const {
    for (auto&& [key, node] : *table_) {
        const std::string_view name = key.str();
        if (std::find(known.begin(), known.end(), name) != known.end()) continue;
        const std::string_view meant = nearest(name, known);
        const Where where = where_of(key.source());
        if (!meant.empty()) {
            fault_at(where, name, fmt::format("unknown key; did you mean `{}`?", meant), "");
        } else {
            fault_at(where, name, "unknown key", fmt::format("one of {}", fmt::join(known, ", ")));
        }
    }
}

bool Section::require(std::string_view key, std::string_view expected) const {
    if (has(key)) return true;
    fault(key, "is missing", expected);
    return false;
}

std::optional<std::int64_t> Section::integer(std::string_view key, std::int64_t low,
                                             std::int64_t high) const {
    const toml::node* node = table_->get(key);
    if (node == nullptr) return std::nullopt;
    const std::string expected = fmt::format("an integer from {} to {}", low, high);
    const auto* value = node->as_integer();
    if (value == nullptr) {
        wrong_type(key, *node, expected);
        return std::nullopt;
    }
    if (value->get() < low || value->get() > high) {
        fault(key, fmt::format("{} is out of range", value->get()), expected);
        return std::nullopt;
    }
    return value->get();
}

std::optional<bool> Section::boolean(std::string_view key) const {
    const toml::node* node = table_->get(key);
    if (node == nullptr) return std::nullopt;
    if (const auto* value = node->as_boolean()) return value->get();
    wrong_type(key, *node, "true or false");
    return std::nullopt;
}

std::optional<Text> Section::text(std::string_view key, std::string_view expected) const {
    const toml::node* node = table_->get(key);
    if (node == nullptr) return std::nullopt;
    if (const auto* value = node->as_string()) return Text{value->get(), where_of(node->source())};
    wrong_type(key, *node, expected);
    return std::nullopt;
}

std::vector<Text> Section::texts(std::string_view key, std::string_view expected) const {
    std::vector<Text> found;
    const toml::node* node = table_->get(key);
    if (node == nullptr) return found;
    if (const auto* value = node->as_string()) {
        found.push_back({value->get(), where_of(node->source())});
        return found;
    }
    const toml::array* array = node->as_array();
    if (array == nullptr) {
        wrong_type(key, *node, expected);
        return found;
    }
    if (array->empty()) fault(key, "is an empty array", expected);
    for (const toml::node& element : *array) {
        if (const auto* value = element.as_string()) {
            found.push_back({value->get(), where_of(element.source())});
        } else {
            wrong_type(key, element, expected);
        }
    }
    return found;
}

std::vector<std::int64_t> Section::integers(std::string_view key, std::int64_t low,
                                            std::int64_t high) const {
    std::vector<std::int64_t> found;
    const toml::node* node = table_->get(key);
    if (node == nullptr) return found;
    const std::string expected = fmt::format("an array of integers from {} to {}", low, high);
    const toml::array* array = node->as_array();
    if (array == nullptr) {
        wrong_type(key, *node, expected);
        return found;
    }
    if (array->empty()) fault(key, "is an empty array", expected);
    for (const toml::node& element : *array) {
        const auto* value = element.as_integer();
        if (value == nullptr) {
            wrong_type(key, element, expected);
        } else if (value->get() < low || value->get() > high) {
            fault_at(where_of(element.source()), key,
                     fmt::format("{} is out of range", value->get()), expected);
        } else {
            found.push_back(value->get());
        }
    }
    return found;
}

std::vector<Element> Section::elements(std::string_view key) const {
    std::vector<Element> found;
    const toml::node* node = table_->get(key);
    if (node == nullptr) return found;
    const toml::array* array = node->as_array();
    if (array == nullptr) return {Element(*node)};
    found.reserve(array->size());
    for (const toml::node& element : *array)
        found.emplace_back(element);
    return found;
}

Section Section::part(std::string_view key, const Element& element) const {
    std::string title = title_;
    title += title_.empty() ? "" : " ";
    title += key;
    return {*element.node_->as_table(), std::move(title), *findings_, *blamed_};
}

void Section::wrong_type(std::string_view key, const Element& element,
                         std::string_view expected) const {
    wrong_type(key, *element.node_, expected);
}

std::optional<std::size_t> Section::choice(std::string_view key,
                                           std::span<const std::string_view> choices) const {
    const std::string expected = fmt::format("\"{}\"", fmt::join(choices, "\" or \""));
    const auto word = text(key, expected);
    if (!word) return std::nullopt;
    const auto found = std::find(choices.begin(), choices.end(), word->value);
    if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
    fault_at(word->where, key, fmt::format("{:?} is not known", word->value), expected);
    return std::nullopt;
}

std::optional<Section> Section::table(std::string_view key) const {
    const toml::node* node = table_->get(key);
    if (node == nullptr) return std::nullopt;
    const std::string title = fmt::format("[{}]", key);
    if (const toml::table* found = node->as_table()) return Section(*found, title, *findings_);
    wrong_type(key, *node, "a table " + title);
    return std::nullopt;
}

std::vector<Section> Section::tables(std::string_view key) const {
    std::vector<Section> found;
    const toml::node* node = table_->get(key);
    if (node == nullptr) return found;
    const std::string expected = fmt::format("a list of tables, each under [[{}]]", key);
    const toml::array* array = node->as_array();
    if (array == nullptr) {
        wrong_type(key, *node, expected);
        return found;
    }
    for (const toml::node& element : *array) {
        const toml::table* inner = element.as_table();
        if (inner == nullptr) {
            wrong_type(key, element, expected);
            continue;
        }
        const auto* name = inner->get_as<std::string>("name");
        found.emplace_back(*inner,
                           name != nullptr ? fmt::format("[{} {:?}]", key, name->get())
                                           : fmt::format("[{} #{}]", key, found.size() + 1),
                           *findings_);
    }
    return found;
}

}  // namespace noclash::dpdk
