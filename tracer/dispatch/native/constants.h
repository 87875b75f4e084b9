// Whether a program can tell two constants apart; `equal_constants` of tracer/guards/checks.py defines it.
#pragma once

#include "common.h"

namespace bytegraph {

// Same type and same value. Common types are compared here, rare ones by calling the Python definition.
Verdict equal_constants(PyObject* found, PyObject* expected);

// The same for all elements of two tuples of equal length.
Verdict equal_elements(PyObject* found, PyObject* expected);

// The same for the members of two sets, in any order.
Verdict equal_members(PyObject* found, PyObject* expected);

}  // namespace bytegraph
