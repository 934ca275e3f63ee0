// SPDX-License-Identifier: Apache-2.0
#pragma once

// How `TupleSpace` (nat/policy/tuple_space.hpp, which includes this) is built.

namespace noclash::nat {

template <class Family>
typename Family::Address TupleGroups<Family>::address_mask(unsigned length) {
    std::array<std::uint8_t, Family::address_bits / 8> bytes{};
    for (unsigned bit = 0; bit < length; ++bit)
        bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] | 0x80U >> bit % 8);
    return std::bit_cast<typename Family::Address>(bytes);
}

template <class Family>
Tuple<Family> TupleGroups<Family>::mask_of(const Conditions<Family>& conditions) {
    Tuple<Family> mask{};
    mask.source = address_mask(conditions.from.length);
    mask.destination = address_mask(conditions.to.length);
    const Be16 all = Be16::from_host(0xffff);
    if (conditions.port == PortCondition::source_exact) mask.source_port = all;
    if (conditions.port == PortCondition::destination_exact) mask.destination_port = all;
    if (conditions.ingress_port) mask.zone = 0xffff;
    if (conditions.protocol) mask.protocol = 0xff;
    return mask;
}

template <class Family>
TupleSpace<Family>::TupleSpace(std::span<const Entry> entries) : filter_(entries.size()) {
    if (entries.size() > most_entries) throw std::length_error("too many conditions in rules");
    TupleGroups<Family> numbers;
    // Thousands of conditions differ in their addresses alone.
    std::set<std::tuple<std::size_t, std::optional<std::uint16_t>, std::optional<std::uint8_t>,
                        PortCondition, std::uint16_t, std::uint16_t>>
        parts;
    std::vector<std::pair<Words, const Entry*>> keys;
    keys.reserve(entries.size());
    for (const Entry& entry : entries) {
        const Conditions<Family>& conditions = entry.conditions;
        if (filter_.is_wide(conditions)) {
            filter_.add_wide(conditions, entry.number);
            continue;
        }
        const auto known = numbers.number_of(conditions);
        if (!known) throw std::length_error("too many shapes of rules");
        const std::size_t number = *known;
        if (number == groups_.size()) {
            Tuple<Family> mask = numbers.mask_of(conditions);
            mask.reserved = static_cast<std::uint8_t>(number);
            groups_.push_back({std::bit_cast<Words>(mask), entry.number});
        }
        const PortRange range =
            conditions.port == PortCondition::destination_range ? conditions.range : PortRange{};
        if (parts
                .emplace(number, conditions.ingress_port, conditions.protocol, conditions.port,
                         range.first, range.last)
                .second)
            filter_.add_parts(number, conditions);
        filter_.add_addresses(number, conditions);
        Tuple<Family> values{};
        values.source = conditions.from.network;
        values.destination = conditions.to.network;
        values.source_port = values.destination_port = Be16::from_host(conditions.range.first);
        values.protocol = conditions.protocol.value_or(0);
        keys.emplace_back(
            masked(packet_of(values, conditions.ingress_port.value_or(0)), groups_[number].mask),
            &entry);
    }
    // By key, and of one key by number.
    std::ranges::sort(keys, {},
                      [](const auto& key) { return std::pair(key.first, key.second->number); });
    groups_.resize((groups_.size() + filter_bits - 1) / filter_bits * filter_bits);
    buckets_.resize(std::bit_ceil(2 * keys.size() + 2));
    shift_ = 64U - static_cast<unsigned>(std::countr_zero(buckets_.size()));
    for (std::size_t first = 0, last = 0; first < keys.size(); first = last) {
        while (last < keys.size() && keys[last].first == keys[first].first)
            ++last;
        add(std::span(keys).subspan(first, last - first));
    }
}

template <class Family>
void TupleSpace<Family>::add(std::span<const std::pair<Words, const Entry*>> of_one_key) {
    Bucket bucket;
    bucket.key = of_one_key.front().first;
    bucket.first = of_one_key.front().second->number;
    std::vector<NumberedRange> ranges;
    for (const auto& [key, entry] : of_one_key) {
        if (entry->conditions.port == PortCondition::destination_range) {
            ranges.push_back({entry->conditions.range, entry->number});
        } else {
            bucket.portless = entry->number;
            break;  // what comes later is never the first
        }
    }
    if (ranges.size() == 1) {
        bucket.range = ranges.front().range;
    } else if (ranges.size() > 1) {
        if (bucket.portless != no_number) ranges.push_back({{0, 65535}, bucket.portless});
        bucket.steps = static_cast<std::uint32_t>(steps_.size());
        steps_.push_back(steps_of(std::move(ranges)));
    }
    std::size_t place = home_of(bucket.key);
    while (buckets_[place].first != no_number)
        place = (place + 1) & (buckets_.size() - 1);
    buckets_[place] = bucket;
}

}  // namespace noclash::nat
