// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <memory>

namespace noclash::schedule {

/// An execution context on this thread: the thread's own, or one with a stack of its own. Tells
/// AddressSanitizer which stack is in use.
class Fiber {
  public:
    using Entry = void (*)(void*);

    Fiber() = default;  ///< the thread itself
    explicit Fiber(std::size_t stack_bytes);
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    /// The next `go_on` calls `entry(argument)`, which must not return but leave by `end`. What ran
    /// on the stack before and has not left by `end` is abandoned: no destructor runs.
    void prepare(Entry entry, void* argument);

    /// Leaves `from`, which is running, and goes on with this one.
    void go_on(Fiber& from);
    /// The same, and `from` will not be gone on with.
    [[noreturn]] void end(Fiber& from);

  private:
    static void start();
    void arrived();

    std::unique_ptr<std::byte[]> stack_;
    ucontext_t context_{};
    Entry entry_ = nullptr;
    void* argument_ = nullptr;
    const void* bottom_ = nullptr;  ///< of the stack; the thread's own is learnt on the way
    std::size_t bytes_ = 0;
    /// AddressSanitizer's, while not running. Who is abandoned leaves it to the next on the stack.
    void* fake_stack_ = nullptr;

    static Fiber* left;
    static Fiber* entered;
};

/// While it lives, what is allocated is not meant to be freed: fibers are going to be abandoned.
class Abandoning {
  public:
    Abandoning();
    ~Abandoning();
    Abandoning(const Abandoning&) = delete;
    Abandoning& operator=(const Abandoning&) = delete;
};

}  // namespace noclash::schedule
