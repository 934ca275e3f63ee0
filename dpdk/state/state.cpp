// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/state.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "dpdk/config/error.hpp"
#include "dpdk/state/kept_services.hpp"

namespace noclash::dpdk {

State::State(const Config& config) : file_(state_path(config), state_records(config)) {
    if (!file_.adopts()) return;
    const std::string path = kept_policy_path(file_.path());
    try {
        before_ = read_kept_policy(path);
        if (before_->instance != file_.instance())
            throw std::runtime_error(path + ": belongs to another state file");
        static_cast<void>(identities());
        services_ = before_->services;
    } catch (const std::exception& error) {
        before_.reset();
        file_.begin_anew(std::string("the names of its rules are lost: ") + error.what());
    }
}

nat::Identities State::identities() const {
    return before_ ? nat::Identities(before_->identities) : nat::Identities();
}

std::optional<Config> State::configuration_before() const {
    if (!before_) return std::nullopt;
    try {
        Config config = parse_config(before_->configuration, before_->configuration_file);
        std::vector<std::string> complaints;  // which the configuration of today has, too
        auto services = read_kept_services(before_->services, config, complaints).services;
        std::ranges::move(services, std::back_inserter(config.policy.services));
        return config;
    } catch (const ConfigError& error) {
        spdlog::warn(
            "the configuration that was in force before is not understood any more ({}); "
            "flows of rules that are gone live on",
            error.findings().empty() ? "" : error.findings().front().text);
        return std::nullopt;
    }
}

void State::keep(const nat::Identities& identities, const Config& in_force) {
    write_kept_policy(kept_policy_path(file_.path()), {file_.instance(), identities.table(),
                                                       in_force.file, in_force.text, services_});
}

}  // namespace noclash::dpdk
