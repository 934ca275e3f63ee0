// SPDX-License-Identifier: Apache-2.0
#include "engine/base/random.hpp"

#include <openssl/err.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

namespace noclash {

void random_bytes(void* bytes, std::size_t size) {
    auto* at = static_cast<unsigned char*>(bytes);
    while (size > 0) {
        const auto part = static_cast<int>(std::min<std::size_t>(size, 1U << 16U));
        if (RAND_bytes(at, part) != 1) {
            std::array<char, 256> why{};
            ERR_error_string_n(ERR_get_error(), why.data(), why.size());
            throw std::runtime_error(std::string("no random numbers from OpenSSL: ") + why.data());
        }
        at += part;
        size -= static_cast<std::size_t>(part);
    }
}

}  // namespace noclash
