// SPDX-License-Identifier: Apache-2.0
#include "tests/schedule/fiber.hpp"

#include <cstdlib>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NOCLASH_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define NOCLASH_ADDRESS_SANITIZER
#endif

#ifdef NOCLASH_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

namespace noclash::schedule {
namespace {

// Tells AddressSanitizer of a switch; nothing in other builds.
void leaving([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* bottom,
             [[maybe_unused]] std::size_t bytes) {
#ifdef NOCLASH_ADDRESS_SANITIZER
    __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
#endif
}

void arriving([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** left_bottom,
              [[maybe_unused]] std::size_t* left_bytes) {
#ifdef NOCLASH_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(fake_stack, left_bottom, left_bytes);
#endif
}

/// A stack is used again by the next run; frames that never returned left it poisoned.
void clean([[maybe_unused]] const void* bottom, [[maybe_unused]] std::size_t bytes) {
#ifdef NOCLASH_ADDRESS_SANITIZER
    __asan_unpoison_memory_region(bottom, bytes);
#endif
}

}  // namespace

Abandoning::Abandoning() {
#ifdef NOCLASH_ADDRESS_SANITIZER
    __lsan_disable();
#endif
}
Abandoning::~Abandoning() {
#ifdef NOCLASH_ADDRESS_SANITIZER
    __lsan_enable();
#endif
}

Fiber* Fiber::left = nullptr;
Fiber* Fiber::entered = nullptr;

Fiber::Fiber(std::size_t stack_bytes)
    : stack_(new std::byte[stack_bytes]), bottom_(stack_.get()), bytes_(stack_bytes) {}

void Fiber::prepare(Entry entry, void* argument) {
    entry_ = entry;
    argument_ = argument;
    clean(bottom_, bytes_);
    if (::getcontext(&context_) != 0) std::abort();
    context_.uc_stack.ss_sp = stack_.get();
    context_.uc_stack.ss_size = bytes_;
    context_.uc_link = nullptr;
    ::makecontext(&context_, &Fiber::start, 0);
}

void Fiber::start() {
    Fiber& me = *entered;
    me.arrived();
    me.entry_(me.argument_);
    std::abort();  // the entry returned
}

void Fiber::arrived() {
    arriving(fake_stack_, &left->bottom_, &left->bytes_);
}

void Fiber::go_on(Fiber& from) {
    left = &from;
    entered = this;
    leaving(&from.fake_stack_, bottom_, bytes_);
    if (::swapcontext(&from.context_, &context_) != 0) std::abort();
    from.arrived();
}

void Fiber::end(Fiber& from) {
    left = &from;
    entered = this;
    from.fake_stack_ = nullptr;
    leaving(nullptr, bottom_, bytes_);
    ::setcontext(&context_);
    std::abort();
}

}  // namespace noclash::schedule
