// SPDX-License-Identifier: Apache-2.0
#include "tools/health/daemon_link.hpp"

#include <spdlog/spdlog.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

namespace noclash::health {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto round_every = 1s;
// States that change together are written together.
constexpr auto gather_for = 10ms;

}  // namespace

DaemonLink::DaemonLink(std::string socket, std::function<void()> on_services)
    : socket_(std::move(socket)),
      on_services_(std::move(on_services)),
      thread_([this] { run(); }) {}

DaemonLink::~DaemonLink() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

std::optional<std::vector<Service>> DaemonLink::take_services() {
    const std::lock_guard lock(mutex_);
    return std::exchange(services_, std::nullopt);
}

void DaemonLink::set(const BackendName& backend, bool up) {
    {
        const std::lock_guard lock(mutex_);
        states_.insert_or_assign(backend, up);
        unwritten_.insert(backend);
    }
    changed_.notify_all();
}

void DaemonLink::forget(const BackendName& backend) {
    const std::lock_guard lock(mutex_);
    states_.erase(backend);
    unwritten_.erase(backend);
}

void DaemonLink::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        std::string trouble;
        try {
            converse(lock);
            continue;
        } catch (const tools::NoDaemon& error) {
            trouble = error.reason();
        } catch (const nlohmann::json::exception& error) {
            trouble = fmt::format("noclash at {} is of another version: {}", socket_, error.what());
        } catch (const std::exception& error) {
            trouble = fmt::format("noclash at {}: {}", socket_, error.what());
        }
        if (!lock.owns_lock()) lock.lock();
        client_.reset();
        if (trouble != trouble_)
            spdlog::warn("{}; checks go on, and noclash is asked again each second", trouble);
        trouble_ = std::move(trouble);
        changed_.wait_for(lock, round_every, [this] { return stopping_; });
    }
}

/// A round each second, and a writing whenever a state has changed.
void DaemonLink::converse(std::unique_lock<std::mutex>& lock) {
    const auto next_round = Clock::now() + round_every;
    exchange(lock);
    // Also while states change all the time: others than this process change what the daemon has.
    do {
        write(lock);
        if (changed_.wait_until(lock, next_round,
                                [this] { return stopping_ || !unwritten_.empty(); }))
            changed_.wait_for(lock, gather_for, [this] { return stopping_; });
    } while (!stopping_ && Clock::now() < next_round);
}

void DaemonLink::exchange(std::unique_lock<std::mutex>& lock) {
    lock.unlock();
    const bool fresh = !client_;
    if (fresh) client_.emplace(socket_, daemon_silence_s);
    std::vector<Service> services = list_services(*client_);
    beat(*client_);
    lock.lock();
    if (fresh) {
        spdlog::info("noclash answers at {}: {} services", socket_, services.size());
        refusals_.clear();
        trouble_.clear();
    }
    learn(std::move(services));
}

/// Whatever the daemon has otherwise than the checks found is to be written: it may have lost it.
void DaemonLink::learn(std::vector<Service> services) {
    listed_.clear();
    for (const Service& service : services) {
        for (const Backend& backend : service.backends) {
            const BackendName& name = *listed_.emplace(service.name, backend.name).first;
            const auto state = states_.find(name);
            if (state == states_.end()) continue;
            if (backend.health != (state->second ? Health::up : Health::down))
                unwritten_.insert(name);
        }
    }
    services_ = std::move(services);
    on_services_();
}

void DaemonLink::write(std::unique_lock<std::mutex>& lock) {
    std::vector<Change> changes;
    for (const BackendName& backend : std::exchange(unwritten_, {})) {
        // One that the daemon does not have would make it refuse all others. Should it come back,
        // `learn` sees it, as it sees what a daemon that goes away now has not got.
        if (listed_.contains(backend)) changes.push_back({backend, states_.at(backend)});
    }
    if (changes.empty()) return;
    lock.unlock();
    const auto refused = write_changes(*client_, changes);
    lock.lock();
    // The next round sees what was refused, and tries again.
    for (const auto& [change, words] : refused) {
        std::string& logged = refusals_[change.backend];
        if (words == logged) continue;
        logged = words;
        spdlog::warn("{} {}: noclash refuses its health: {}", change.backend.first,
                     change.backend.second, words);
    }
}

}  // namespace noclash::health
