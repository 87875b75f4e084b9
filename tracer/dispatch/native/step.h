// `Step`: what is left to do of a call, returned to the dispatcher instead of being done on top of the frames before it.
#pragma once

#include "common.h"

namespace bytegraph {

struct Step {
  PyObject_HEAD
  PyObject* callable;
  PyObject* args;  // a tuple
};

extern PyTypeObject* step_type;

// Adds the function `go_on(callable, *args) -> Step`.
bool add_step_type(PyObject* module);

}  // namespace bytegraph
