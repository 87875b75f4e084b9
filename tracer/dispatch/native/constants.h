// When two constants are indistinguishable: `equal_constants` of tracer/guards/checks.py, natively.
#pragma once

#include "common.h"

namespace bytegraph {

// Same type and same value; the usual types here, the rare ones by asking the Python definition.
Verdict equal_constants(PyObject* found, PyObject* expected);

// The same for all elements of two tuples of equal length.
Verdict equal_elements(PyObject* found, PyObject* expected);

// The members of two sets, in any order.
Verdict equal_members(PyObject* found, PyObject* expected);

}  // namespace bytegraph
