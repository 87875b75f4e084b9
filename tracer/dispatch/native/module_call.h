// Calls of captured modules, without the Python function that their class has for `__call__`.
#pragma once

#include "common.h"

namespace bytegraph {

// Adds `call_natively`.
bool add_module_call(PyObject* module);

}  // namespace bytegraph
