// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/config.hpp"

#include "dpdk/config/checks.hpp"
#include "dpdk/config/config_file.hpp"
#include "dpdk/config/error.hpp"
#include "dpdk/config/sections.hpp"

namespace noclash::dpdk {

Config parse_config(std::string_view text, const std::string& file, const Machine& machine) {
    Findings findings(file);
    Config config;
    config.file = file;
    config.text = text;
    try {
        const toml::table table = toml::parse(text, std::string_view(file));
        const Section top(table, "", findings);
        read_general(top, config);
        read_state(top, config);
        read_memory(top, config);
        read_neighbors(top, config);
        read_fragments(top, config);
        read_timeouts(top, config);
        read_ports(top, config);
        read_routes(top, config);
        read_pools(top, config);
        read_rules(top, config);
        read_services(top, config);
        read_limits(top, config);
        read_static_neighbors(top, config);
        check_whole(top, config, machine);
    } catch (const toml::parse_error& error) {
        findings.add_syntax_error(error);
    }
    config.warnings = findings.take();
    return config;
}

Config load_config(const std::string& file) {
    return parse_config(read_config_file(file), file, this_machine());
}

}  // namespace noclash::dpdk
