// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/siphash.hpp"
#include "engine/tuple.hpp"
#include "nat/policy/backend_index.hpp"
#include "nat/policy/backend_slots.hpp"
#include "nat/policy/maglev.hpp"
#include "nat/policy/opening_results.hpp"
#include "nat/policy/service.hpp"

namespace noclash::nat {

/// What health checks say of a backend.
enum class Health : std::uint8_t {
    unknown,  ///< nobody has checked it: it passes for well
    up,
    down,
};

/// How a backend stands.
enum class BackendState : std::uint8_t {
    active,    ///< gets new flows
    draining,  ///< gets none while another backend is active
    down,      ///< gets none while another backend is well: health checks or its openings say so
};

/// How a service stands.
enum class ServiceCondition : std::uint8_t {
    ok,
    draining,    ///< no backend is active: those that drain get the new flows
    all_down,    ///< no active backend is well: new flows go to all of them, as if they were
    no_backend,  ///< there is none
};

/// A service's backends and the share that each has of new flows. Never changed: another table
/// takes its place (`ServiceBackends`).
template <class Family>
class BackendTable {
  public:
    using Key = std::array<std::uint64_t, 2>;

    struct Entry {
        Backend<Family> backend;
        Health health = Health::unknown;
        bool drains = false;     ///< by a command, whatever its weight
        bool inhibited = false;  ///< its openings have failed: it counts as down
        std::shared_ptr<BackendCounters> counters = make_backend_counters();

        [[nodiscard]] BackendState state() const {
            if (drains || backend.weight == no_weight) return BackendState::draining;
            return inhibited || health == Health::down ? BackendState::down : BackendState::active;
        }
    };

    /// @param entries  no two with one address and port
    BackendTable(std::vector<Entry> entries, const Key& key)
        : entries_(std::move(entries)),
          index_(entries_, &Entry::backend),
          condition_(condition_of(entries_)),
          key_(key) {
        if (condition_ == ServiceCondition::no_backend) return;
        std::vector<MaglevMember> members;
        members.reserve(entries_.size());
        std::vector<ChosenBackend<Family>> chosen;
        chosen.reserve(entries_.size());
        for (std::size_t place = 0; place < entries_.size(); ++place) {
            const Entry& entry = entries_[place];
            members.push_back({backend_identity<Family>(entry.backend.address, entry.backend.port),
                               share_of(entry), static_cast<std::uint16_t>(place)});
            chosen.push_back(
                {entry.backend.address, Be16::from_host(entry.backend.port), entry.counters.get()});
        }
        slots_ = BackendSlots<Family>(maglev_slots(members, key), chosen);
    }

    /// The backend of a new flow with this original tuple; null when there is none. The same for
    /// all packets and all workers, as long as backends stay the same.
    [[nodiscard]] const Entry* choose(const Tuple<Family>& original, Affinity affinity) const {
        const SlotsView<Family> view = slots_.view();
        if (view.empty()) return nullptr;
        return &entries_[*view.slot_of(hash(original, affinity, key_))];
    }
    /// What `choose` goes by, as first packets read it; valid as long as this.
    [[nodiscard]] SlotsView<Family> view() const { return slots_.view(); }
    /// Which slot a new flow goes by.
    [[nodiscard]] static std::uint64_t hash(const Tuple<Family>& original, Affinity affinity,
                                            const Key& key) {
        std::array<std::uint8_t, sizeof original> bytes{};
        if (affinity == Affinity::client)
            std::memcpy(bytes.data(), &original.source, sizeof original.source);
        else
            std::memcpy(bytes.data(), &original, sizeof original);
        return siphash(key, bytes);
    }

    [[nodiscard]] ServiceCondition condition() const { return condition_; }
    [[nodiscard]] std::span<const Entry> entries() const { return entries_; }
    /// How many slots each entry has, in their order.
    [[nodiscard]] std::vector<std::uint32_t> shares() const {
        std::vector<std::uint32_t> shares(entries_.size());
        for (const std::uint16_t place : slots_.view().slots())
            ++shares[place];
        return shares;
    }
    /// The entry with this address and port, or else the one with this address that has no port of
    /// its own; null when there is neither.
    [[nodiscard]] const Entry* find(const typename Family::Address& address,
                                    std::uint16_t port) const {
        const Entry* const found = find_exactly({address, port});
        return found != nullptr || port == 0 ? found : find_exactly({address, 0});
    }

    /// The entry of just this backend, whatever its weight; null when there is none.
    [[nodiscard]] const Entry* find_exactly(const Backend<Family>& backend) const {
        const auto backend_at = [this](std::size_t place) -> const Backend<Family>& {
            return entries_[place].backend;
        };
        const auto place = index_.find(backend.address, backend.port, backend_at);
        return place ? &entries_[*place] : nullptr;
    }

  private:
    static ServiceCondition condition_of(std::span<const Entry> entries) {
        if (entries.empty()) return ServiceCondition::no_backend;
        bool is_down = false;
        for (const Entry& entry : entries) {
            if (entry.state() == BackendState::active) return ServiceCondition::ok;
            is_down = is_down || entry.state() == BackendState::down;
        }
        return is_down ? ServiceCondition::all_down : ServiceCondition::draining;
    }

    [[nodiscard]] std::uint16_t share_of(const Entry& entry) const {
        switch (condition_) {
            case ServiceCondition::ok:
                return entry.state() == BackendState::active ? entry.backend.weight : no_weight;
            case ServiceCondition::all_down:
                return entry.state() == BackendState::down ? entry.backend.weight : no_weight;
            case ServiceCondition::draining:
            case ServiceCondition::no_backend:
                break;
        }
        return std::max<std::uint16_t>(entry.backend.weight, 1);
    }

    std::vector<Entry> entries_;
    BackendIndex<Family> index_;
    ServiceCondition condition_;
    Key key_;
    BackendSlots<Family> slots_;  ///< places in `entries_`; empty: there is no backend
};

/// The backends that a service has at the moment. Workers read them; one thread at a time changes
/// them, by another table.
template <class Family>
class ServiceBackends {
  public:
    using Table = BackendTable<Family>;

    explicit ServiceBackends(std::shared_ptr<const Table> table)
        : table_(std::move(table)), current_(table_.get()) {}
    ServiceBackends(const ServiceBackends&) = delete;
    ServiceBackends& operator=(const ServiceBackends&) = delete;

    /// Valid until the end of the worker's round.
    [[nodiscard]] const Table& current() const {
        return *current_.load(std::memory_order_acquire);  // (84)
    }

    /// For the thread that changes them.
    [[nodiscard]] const std::shared_ptr<const Table>& table() const { return table_; }
    /// @return the former table, to be kept for a grace period
    [[nodiscard]] std::shared_ptr<const Table> replace(std::shared_ptr<const Table> table) {
        std::swap(table_, table);
        current_.store(table_.get(), std::memory_order_release);  // (85)
        return table;
    }

  private:
    std::shared_ptr<const Table> table_;
    std::atomic<const Table*> current_;
};

}  // namespace noclash::nat
