// `Interceptor`: while one is active in a thread, frames that native code starts are handed to caches (PEP 523).
#pragma once

#include "common.h"

namespace bytegraph {

// Adds the type `Interceptor` and the functions `exchange_interceptor`, `never_intercept`, `forget_decisions`.
bool add_interceptor_type(PyObject* module);

// No interceptor is active in this thread during its life: the program of a capture makes those active that it needs.
class NotIntercepted {
 public:
  NotIntercepted();
  ~NotIntercepted();
  NotIntercepted(const NotIntercepted&) = delete;
  NotIntercepted& operator=(const NotIntercepted&) = delete;

 private:
  void* before_;  // the interceptor, owned
};

// Whether torch.compile takes the frames that this thread starts: a captured function leaves its own to it.
bool is_compiled_by_torch();

// Whether `object` is an Interceptor; only these may be passed to `call_original`.
bool is_interceptor(PyObject* object);

// `function(*args, **keywords)` with `interceptor` (null or None: none) active for every frame but the function's own.
// The reference at `handed_over`, if any, owns the arguments; it is cleared when that frame has references of its own.
PyObject* call_original(PyObject* interceptor, PyObject* function, PyObject* const* args, size_t count,
                        PyObject* keywords, PyObject** handed_over = nullptr);

}  // namespace bytegraph
