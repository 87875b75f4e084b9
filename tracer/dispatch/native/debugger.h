// What a debugger sees of a thread: not the Python code of the tracer, and, where it has breakpoints, the original
// functions. What `sys.settrace` sets in a thread is a debugger here, whatever it does.
#pragma once

#include "common.h"

namespace bytegraph {

// During its life a debugger of this thread sees no Python frame that starts; nothing changes where there is none.
class HiddenFromDebugger {
 public:
  HiddenFromDebugger();
  ~HiddenFromDebugger();
  HiddenFromDebugger(const HiddenFromDebugger&) = delete;
  HiddenFromDebugger& operator=(const HiddenFromDebugger&) = delete;

 private:
  bool hides_;
};

// Whether a debugger of this thread has breakpoints, which are reached only where the original functions run.
bool has_breakpoints();

// Adds the functions `hidden` and `shown`.
bool add_debugger_functions(PyObject* module);

}  // namespace bytegraph
