// torch's settings on this thread, compared with those a capture was made under.
// The Python side is `tracer/guards/state.py`.
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
