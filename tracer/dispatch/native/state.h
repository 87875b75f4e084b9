// Compares torch's settings on this thread with those under which a capture was made; tracer/guards/state.py defines
// them.
#pragma once

#include <memory>

#include "common.h"

namespace bytegraph {

class StateCheck {
 public:
  // From a `State` tuple. Null with a Python error if malformed.
  static std::unique_ptr<StateCheck> make(PyObject* state);
  virtual ~StateCheck() = default;
  virtual bool holds() const = 0;
};

}  // namespace bytegraph
