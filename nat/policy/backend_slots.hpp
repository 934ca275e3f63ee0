// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "engine/base/endian.hpp"
#include "engine/base/huge_pool.hpp"
#include "nat/policy/maglev.hpp"
#include "nat/policy/opening_results.hpp"

namespace noclash::nat {

/// What is counted of a backend, for as long as the service has it. Any thread may count.
struct BackendCounters {
    std::atomic<std::uint64_t> openings{0};    ///< flows that were sent to it
    std::atomic<std::uint64_t> unanswered{0};  ///< flows that ended before it said a word
    std::atomic<std::int64_t> half_open{0};    ///< connections that wait for its answer now
    /// Tells these counters from others that a flow may have begun under: when the service has lost
    /// the backend meanwhile, and has it again.
    const std::uint8_t tag = next_tag();
    /// What is written less often than at each opening.
    const std::unique_ptr<OpeningResults> results = std::make_unique<OpeningResults>();

  private:
    static std::uint8_t next_tag() {
        static std::atomic<std::uint8_t> next{0};
        return next.fetch_add(1, std::memory_order_relaxed);
    }
};

[[nodiscard]] inline std::shared_ptr<BackendCounters> make_backend_counters() {
    return std::allocate_shared<BackendCounters>(
        std::pmr::polymorphic_allocator<BackendCounters>(&huge_pool()));
}

/// A backend, as a flow's first packet needs it.
template <class Family>
struct ChosenBackend {
    typename Family::Address address;
    Be16 port;  ///< 0: the port that the client asked for
    BackendCounters* counters;
};

/// Where a service's slots and backends are in memory, in one word: so it is published by one
/// store, and both can be fetched without a look at anything else. Valid as long as the
/// `BackendSlots`.
template <class Family>
class SlotsView {
  public:
    using Word = std::uintptr_t;

    static constexpr std::size_t line_bytes = 64;
    static_assert(maglev_sizes.size() <= line_bytes);

    SlotsView() = default;
    explicit SlotsView(Word word) : word_(word) {}
    /// @param memory  begins with a line: `maglev_sizes[size]` slots, then backends at a line
    SlotsView(const std::byte* memory, std::size_t size)
        : word_(reinterpret_cast<Word>(memory) | size) {}

    [[nodiscard]] Word word() const { return word_; }
    /// There is no backend.
    [[nodiscard]] bool empty() const { return word_ == 0; }
    [[nodiscard]] std::span<const std::uint16_t> slots() const {
        if (empty()) return {};
        return {reinterpret_cast<const std::uint16_t*>(memory()), maglev_sizes[size()]};
    }
    /// The slot of a hash; not of an empty table.
    [[nodiscard]] const std::uint16_t* slot_of(std::uint64_t hash) const {
        const std::uint64_t place = (hash >> 32U) * maglev_sizes[size()] >> 32U;
        return reinterpret_cast<const std::uint16_t*>(memory()) + place;
    }
    /// By the place that stands in a slot.
    [[nodiscard]] const ChosenBackend<Family>* backend(std::size_t place) const {
        return reinterpret_cast<const ChosenBackend<Family>*>(memory() + slot_bytes[size()]) +
               place;
    }

    /// Bytes of the slots of each size, up to a whole line.
    static constexpr auto slot_bytes = [] {
        std::array<std::size_t, maglev_sizes.size()> bytes{};
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = (maglev_sizes[i] * sizeof(std::uint16_t) + line_bytes - 1) / line_bytes *
                       line_bytes;
        return bytes;
    }();

  private:
    [[nodiscard]] std::size_t size() const { return word_ % line_bytes; }
    [[nodiscard]] const std::byte* memory() const {
        return reinterpret_cast<const std::byte*>(word_ - size());
    }

    Word word_ = 0;
};

/// The slots of a table and its backends in one piece of memory: what first packets read of it.
template <class Family>
class BackendSlots {
  public:
    using Backend = ChosenBackend<Family>;

    BackendSlots() = default;
    /// @param slots     as many as a Maglev table has: places in `backends`
    /// @param backends  at most 65,535
    BackendSlots(std::span<const std::uint16_t> slots, std::span<const Backend> backends) {
        const auto size = static_cast<std::size_t>(std::ranges::find(maglev_sizes, slots.size()) -
                                                   maglev_sizes.begin());
        const std::size_t slot_bytes = SlotsView<Family>::slot_bytes[size];
        const std::size_t bytes = slot_bytes + backends.size_bytes();
        memory_ = {static_cast<std::byte*>(huge_pool().allocate(bytes, alignment)), Free{bytes}};
        std::uninitialized_copy(slots.begin(), slots.end(),
                                reinterpret_cast<std::uint16_t*>(memory_.get()));
        std::uninitialized_copy(backends.begin(), backends.end(),
                                reinterpret_cast<Backend*>(memory_.get() + slot_bytes));
        view_ = SlotsView<Family>(memory_.get(), size);
    }

    [[nodiscard]] SlotsView<Family> view() const { return view_; }

  private:
    static constexpr std::size_t alignment = SlotsView<Family>::line_bytes;
    struct Free {
        std::size_t bytes = 0;
        void operator()(std::byte* memory) const {
            huge_pool().deallocate(memory, bytes, alignment);
        }
    };

    std::unique_ptr<std::byte[], Free> memory_;
    SlotsView<Family> view_;
};

}  // namespace noclash::nat
