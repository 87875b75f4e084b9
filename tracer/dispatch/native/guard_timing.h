// How long guards take, measured on the objects of a call. For reports only: no call comes here.
#pragma once

#include "common.h"

namespace bytegraph {

// Adds the function `guard_seconds(guards, inputs, parameters, function, values) -> float`.
bool add_guard_timing(PyObject* module);

}  // namespace bytegraph
