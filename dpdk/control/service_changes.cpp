// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/service_changes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "dpdk/config/services.hpp"
#include "dpdk/config/values.hpp"
#include "dpdk/state/kept_services.hpp"
#include "nat/policy/flow_fate.hpp"

namespace noclash::dpdk {

using nlohmann::json;

/// One change of a request, with its place in errors.
class ServiceChanges::Change {
  public:
    Change(const json& object, const std::string& place) : object_(object), place_(place) {
        if (!object.is_object()) fail("", "expected an object with \"op\"");
    }

    [[noreturn]] void fail(std::string_view key, std::string_view what) const {
        throw std::runtime_error(key.empty() ? fmt::format("{}: {}", place_, what)
                                             : fmt::format("{}: {}: {}", place_, key, what));
    }
    [[nodiscard]] const std::string& place() const { return place_; }
    [[nodiscard]] const json& member(std::string_view key, std::string_view expected) const {
        const auto found = object_.find(key);
        if (found == object_.end()) fail(key, fmt::format("is missing; expected {}", expected));
        return *found;
    }
    [[nodiscard]] const std::string& text(std::string_view key, std::string_view expected) const {
        const json& value = member(key, expected);
        if (!value.is_string()) fail(key, fmt::format("expected {}", expected));
        return value.get_ref<const std::string&>();
    }
    [[nodiscard]] const std::string& name() const { return text("name", "the name of a service"); }
    [[nodiscard]] nat::Backend<V4> backend() const {
        const std::string& words = text("backend", backend_form);
        const auto found = parse_backend(words);
        if (!found)
            fail("backend",
                 fmt::format("{:?} is no {}", words,
                             "address of a host; expected " + std::string(backend_form)));
        return *found;
    }
    /// @throws std::runtime_error when there is another key beside "op" and `keys`
    void allow_only(std::initializer_list<std::string_view> keys) const {
        for (const auto& [key, value] : object_.items())
            if (key != "op" && std::ranges::find(keys, key) == keys.end())
                fail(key, fmt::format("has no meaning in this change; expected \"op\", \"{}\"",
                                      fmt::join(keys, "\", \"")));
    }

  private:
    const json& object_;
    const std::string& place_;
};

namespace {

bool is_same(const nat::Backend<V4>& one, const nat::Backend<V4>& other) {
    return one.address == other.address && one.port == other.port;
}

auto find_in(std::vector<ServiceEdit::Entry>& entries, const nat::Backend<V4>& backend) {
    return std::ranges::find_if(entries,
                                [&](const auto& entry) { return is_same(entry.backend, backend); });
}

/// A backend gets no new flows any more: connections stay with it, datagrams do not.
void note_leaving(ServiceEdit& edit, bool leaves) {
    if (leaves && nat::carries_datagrams(edit.service.protocol)) edit.may_end_flows = true;
}

/// Whether both have the same packets, and treat them alike, but for their backends.
bool differ_in_backends_only(nat::Service<V4> one, const nat::Service<V4>& other) {
    one.backends = other.backends;
    return one == other;
}

}  // namespace

ServiceChanges::ServiceChanges(const Snapshot& policy, ServiceConflicts& conflicts)
    : policy_(policy), conflicts_(conflicts), services_(policy.services.size()) {
    places_.reserve(policy.services.size());
    for (std::uint32_t place = 0; place < policy.services.size(); ++place) {
        places_.emplace(policy.services[place].name, place);
        backends_ += policy.service_rules.table(place)->entries().size();
    }
}

void ServiceChanges::add(const json& object, const std::string& place) {
    const Change change(object, place);
    const std::string& op = change.text(
        "op",
        "\"set\", \"remove\", \"set_backend\", \"remove_backend\", \"drain\", \"undrain\" or "
        "\"health\"");
    if (op == "set") return set(change);
    if (op == "remove") return remove(change);
    if (op == "set_backend") return set_backend(change);
    if (op == "remove_backend") return remove_backend(change);
    if (op == "drain" || op == "undrain") return drain(change, op == "drain");
    if (op == "health") return set_health(change);
    change.fail("op", fmt::format("{:?} is not known", op));
}

ServiceEdit* ServiceChanges::find(const std::string& name) {
    if (const auto edited = edits_.find(name); edited != edits_.end())
        return edited->second.is_there ? &edited->second : nullptr;
    const auto place = places_.find(name);
    if (place == places_.end()) return nullptr;
    ServiceEdit& edit = edits_[name];
    edit.before = place->second;
    edit.service = policy_.services[place->second];
    const auto entries = policy_.service_rules.table(place->second)->entries();
    edit.entries.assign(entries.begin(), entries.end());
    edit.service.backends.clear();
    for (const Entry& entry : edit.entries)
        edit.service.backends.push_back(entry.backend);
    return &edit;
}

ServiceEdit& ServiceChanges::existing(const Change& change) {
    ServiceEdit* edit = find(change.name());
    if (edit == nullptr)
        change.fail("name", fmt::format("no service is called {:?}", change.name()));
    return *edit;
}

ServiceEdit& ServiceChanges::made_by_command(const Change& change) {
    ServiceEdit& edit = existing(change);
    if (!edit.service.by_command)
        change.fail("name",
                    fmt::format("service {:?} stands in the configuration file: change it there, "
                                "and reload; \"drain\" and \"undrain\" work here, too",
                                edit.service.name));
    return edit;
}

void ServiceChanges::set(const Change& change) {
    change.allow_only({"service"});
    nat::Service<V4> service;
    try {
        service = read_service(change.member("service", "the keys of a [[service]]"),
                               change.place(), policy_.config);
    } catch (const ConfigError& error) {
        throw std::runtime_error(error.what());
    }
    ServiceEdit* known = find(service.name);
    if (known != nullptr && !known->service.by_command)
        change.fail("service", fmt::format("name: service {:?} stands in the configuration file: "
                                           "change it there, and reload",
                                           service.name));
    if (known != nullptr && known->service == service) return count(false);
    if (known != nullptr) conflicts_.erase(known->service);
    if (const auto found = conflicts_.find(service); !found.empty())
        change.fail("service", fmt::format("{}: {}; expected {}", found.front().key,
                                           found.front().what, found.front().expected));
    conflicts_.insert(service);
    const bool is_new = known == nullptr;
    ServiceEdit& edit = is_new ? edits_[service.name] : *known;
    if (is_new && (edit.is_there = true, ++services_ > most_services))
        change.fail("service",
                    fmt::format("too many services; expected at most {}", most_services));
    backends_ += service.backends.size() - edit.entries.size();
    if (backends_ > most_backends_in_all)
        change.fail("service", fmt::format("too many backends; expected at most {} in all",
                                           most_backends_in_all));
    edit.is_rebuilt = edit.is_rebuilt || is_new || !differ_in_backends_only(service, edit.service);
    std::vector<Entry> entries;
    for (const auto& backend : service.backends) {
        const auto entry = find_in(edit.entries, backend);
        entries.push_back(entry == edit.entries.end() ? Entry{backend} : *entry);
        entries.back().backend = backend;
    }
    edit.service = std::move(service);
    edit.entries = std::move(entries);
    edit.is_changed = edit.may_end_flows = true;
    count(true);
}

void ServiceChanges::remove(const Change& change) {
    change.allow_only({"name"});
    if (find(change.name()) == nullptr) return count(false);
    ServiceEdit& edit = made_by_command(change);
    conflicts_.erase(edit.service);
    backends_ -= edit.entries.size();
    --services_;
    edit.is_there = false;
    edit.is_rebuilt = true;
    edit.entries.clear();
    count(true);
}

void ServiceChanges::set_backend(const Change& change) {
    change.allow_only({"name", "backend", "weight"});
    ServiceEdit& edit = made_by_command(change);
    nat::Backend<V4> backend = change.backend();
    const json& weight = change.member("weight", "a number from 0 to 256");
    if (!weight.is_number_unsigned() || weight.get<std::uint64_t>() > nat::most_weight)
        change.fail("weight", "expected a number from 0 to 256");
    backend.weight = weight.get<std::uint16_t>();
    const auto entry = find_in(edit.entries, backend);
    if (entry != edit.entries.end() && entry->backend == backend) return count(false);
    if (entry == edit.entries.end()) {
        if (edit.entries.size() == most_backends || ++backends_ > most_backends_in_all)
            change.fail("backend", fmt::format("too many backends; expected at most {} of a "
                                               "service, and {} in all",
                                               most_backends, most_backends_in_all));
        if (const auto found = conflicts_.find(edit.service, backend.address))
            change.fail("backend", fmt::format("{}; expected {}", found->what, found->expected));
        conflicts_.erase(edit.service);
        edit.service.backends.push_back(backend);
        conflicts_.insert(edit.service);
        edit.entries.push_back(Entry{backend});
    } else {
        note_leaving(edit, backend.weight == nat::no_weight);
        edit.service.backends[static_cast<std::size_t>(entry - edit.entries.begin())] = backend;
        entry->backend = backend;
    }
    edit.is_changed = true;
    count(true);
}

void ServiceChanges::remove_backend(const Change& change) {
    change.allow_only({"name", "backend"});
    ServiceEdit& edit = made_by_command(change);
    const auto entry = find_in(edit.entries, change.backend());
    if (entry == edit.entries.end()) return count(false);
    conflicts_.erase(edit.service);
    edit.service.backends.erase(edit.service.backends.begin() + (entry - edit.entries.begin()));
    conflicts_.insert(edit.service);
    edit.entries.erase(entry);
    --backends_;
    edit.is_changed = edit.may_end_flows = true;
    count(true);
}

void ServiceChanges::drain(const Change& change, bool drains) {
    change.allow_only({"name", "backend"});
    ServiceEdit& edit = existing(change);
    const nat::Backend<V4> backend = change.backend();
    const auto entry = find_in(edit.entries, backend);
    if (entry == edit.entries.end())
        change.fail("backend", fmt::format("service {:?} has no backend {}", edit.service.name,
                                           backend_text(backend)));
    if (entry->drains == drains) return count(false);
    entry->drains = drains;
    edit.is_changed = edit.is_kept_at_once = true;
    note_leaving(edit, drains);
    count(true);
}

/// Whoever checks backends may not know yet that one is gone: that is no error.
void ServiceChanges::set_health(const Change& change) {
    change.allow_only({"name", "backend", "up"});
    const json& up = change.member("up", "true or false");
    if (!up.is_boolean()) change.fail("up", "expected true or false");
    const nat::Backend<V4> backend = change.backend();
    ServiceEdit* edit = find(change.name());
    if (edit == nullptr) return count(false);
    const auto entry = find_in(edit->entries, backend);
    const nat::Health health = up.get<bool>() ? nat::Health::up : nat::Health::down;
    if (entry == edit->entries.end() || entry->health == health) return count(false);
    // News of a check that a backend is well again outweighs what its openings have come to.
    if (health == nat::Health::up && entry->health == nat::Health::down) entry->inhibited = false;
    entry->health = health;
    edit->is_changed = true;
    note_leaving(*edit, health == nat::Health::down);
    count(true);
}

}  // namespace noclash::dpdk
