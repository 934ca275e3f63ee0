// SPDX-License-Identifier: Apache-2.0
#include "tests/schedule/place_names.hpp"

#include <cstdio>

namespace noclash::schedule {
namespace {

/// Whether `place` lies within `object`.
template <class T>
bool within(const T& object, const void* place) {
    const auto at = reinterpret_cast<std::uintptr_t>(place);
    const auto begin = reinterpret_cast<std::uintptr_t>(&object);
    return at >= begin && at < begin + sizeof object;
}

}  // namespace

void PlaceNames::print(unsigned worker, std::uint64_t step, const Access& access) {
    const std::string margin(std::size_t{worker} * 4, ' ');
    std::printf("%6llu %s%u  %-28s %s", static_cast<unsigned long long>(step), margin.c_str(),
                worker, name(access).c_str(), access.what);
    if (access.wrote && access.before != access.after)
        std::printf(" 0x%llx -> 0x%llx\n", static_cast<unsigned long long>(access.before),
                    static_cast<unsigned long long>(access.after));
    else
        std::printf(" 0x%llx\n", static_cast<unsigned long long>(access.after));
}

std::string PlaceNames::name(const Access& access) {
    if (within(table_.quiescence(), access.place)) return "quiescence";
    if (within(table_.pool(), access.place)) return "stack of free records";
    if (within(table_, access.place)) return "flush count";
    const auto* place = static_cast<const char*>(access.place);
    const auto* first = reinterpret_cast<const char*>(&table_.pool()[0]);
    const auto* last = reinterpret_cast<const char*>(&table_.pool()[table_.pool().last_id()] + 1);
    if (place >= first && place < last) return name_in_record(place);
    return name_elsewhere(access);
}

std::string PlaceNames::name_in_record(const char* place) {
    const auto* first = reinterpret_cast<const char*>(&table_.pool()[0]);
    const auto id = static_cast<FlowId>(static_cast<std::size_t>(place - first) / sizeof(Record));
    const Record& record = table_.pool()[id];
    const char* field = "?";
    if (within(record.expires, place)) field = "expires";
    if (within(record.status, place)) field = "status";
    if (within(record.protocol_state, place)) field = "protocol_state";
    if (within(record.marks, place)) field = "marks";
    if (within(record.counters, place)) field = "counters";
    if (within(record.pool_link, place)) field = "pool_link";
    if (within(record.memory, place)) field = "memory";
    return "flow " + std::to_string(id) + " " + field;
}

/// A bucket of the index begins with its header; other lines hold shared slots, or words of nat/.
std::string PlaceNames::name_elsewhere(const Access& access) {
    const auto at = reinterpret_cast<std::uintptr_t>(access.place);
    const std::size_t line = lines_.try_emplace(at / 64, lines_.size()).first->second;
    const std::string number = "line " + std::to_string(line);
    if (access.bytes == sizeof(std::uint64_t) && at % 64 == 0) return number + " header";
    return number + " word " + std::to_string(at % 64 / sizeof(std::uint32_t));
}

}  // namespace noclash::schedule
