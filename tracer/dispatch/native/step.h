// `Step`: the call with which a program goes on. It returns the step to the dispatcher, which makes the call when the
// frames of the program are gone.
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
