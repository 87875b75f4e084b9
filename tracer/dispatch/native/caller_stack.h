// Arguments of a call that lie on the value stack of the Python frame that makes it. CPython moves them from there into
// the frame of a Python function, so that an object dies when the function drops it; here that is done by hand.
#pragma once

#include "common.h"

namespace bytegraph {

// Whether `args`, passed to `callable`, are on the stack of the frame that calls it: it drops them after the call.
bool are_on_stack(PyObject* callable, PyObject* const* args, size_t count);

// Whether the end of one of these arguments can be seen, and nobody but the stack holds it.
bool end_visibly_with_call(PyObject* const* args, size_t count);

// A tuple of these arguments, which are taken from the stack. Null with a Python error on failure.
Object take_from_stack(PyObject* const* args, size_t count);

}  // namespace bytegraph
