// What a forked process must not find half done.
#include "forks.h"

#include <ATen/CPUGeneratorImpl.h>
#include <pthread.h>

namespace bytegraph {
namespace {

std::mutex& random_numbers() {
  static at::Generator generator = at::detail::getDefaultCPUGenerator();
  return generator.mutex();
}

void hold() { random_numbers().lock(); }

void release() { random_numbers().unlock(); }

}  // namespace

// A kernel draws while it holds the mutex of torch's generator, and without the GIL. A child that is forked meanwhile
// has nobody left to release it, and would wait for ever when a capture asks for the generator's state. So a fork waits
// until nobody draws. This is no hook of os.register_at_fork: after such a hook other threads can still take the GIL,
// and one that waits for the mutex then would keep it.
bool keep_forks_whole() {
  random_numbers();
  if (pthread_atfork(hold, release, release) == 0) return true;
  PyErr_NoMemory();
  return false;
}

}  // namespace bytegraph
