// SPDX-License-Identifier: Apache-2.0
#include "tools/health/socket.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cctype>
#include <cstring>

namespace noclash::health {

std::string error_text(int error) {
    std::string text = std::strerror(error);
    if (!text.empty())
        text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
    return text;
}

std::string silence_text(const char* what, const Check& check) {
    return fmt::format("no {} within {} ms", what, check.timeout_ms);
}

std::optional<std::string> bind_to_source(int fd, const Check& check) {
    if (!check.interface.empty() &&
        ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, check.interface.data(),
                     static_cast<socklen_t>(check.interface.size())) != 0)
        return fmt::format("interface {}: {}", check.interface, error_text(errno));
    if (!check.source) return std::nullopt;
    // The port is chosen at connect(), when its other end is known: ports are not used up.
    const int later = 1;
    ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &later, sizeof later);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(check.source->value.host());
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fmt::format("source {}: {}", to_string<V4>(*check.source), error_text(errno));
    return std::nullopt;
}

}  // namespace noclash::health
