// How much of the C stack a thread has left. Python code that calls Python code takes none of it, but a call that goes
// through a cache does, so that a program with a high recursion limit could overflow it.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>

namespace bytegraph {

struct Stack {
  uintptr_t lowest;
  size_t size;
};

// The C stack of this thread.
inline Stack read_stack() {
#ifdef __APPLE__
  size_t size = pthread_get_stacksize_np(pthread_self());
  return {reinterpret_cast<uintptr_t>(pthread_get_stackaddr_np(pthread_self())) - size, size};
#else
  pthread_attr_t attributes;
  void* lowest = nullptr;
  size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstack(&attributes, &lowest, &size);
    pthread_attr_destroy(&attributes);
  }
  return {reinterpret_cast<uintptr_t>(lowest), size};
#endif
}

// Whether less than one part in `parts` of this thread's C stack is left.
inline bool has_less_stack_than(size_t parts) {
  thread_local const Stack stack = read_stack();
  return reinterpret_cast<uintptr_t>(&parts) - stack.lowest < stack.size / parts;
}

}  // namespace bytegraph
