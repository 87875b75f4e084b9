// Whether a program can see when an object dies. Nothing here knows who is about to let go of it.
#pragma once

#include "common.h"

namespace bytegraph {

// Whether the end of an object shows that its last holder is about to let go of: whether it, or what dies with it, has
// a finaliser, is referred to weakly by the program, or is a generator or coroutine that has not ended.
bool ends_visibly(PyObject* object);

// Adds the function `ends_visibly(object) -> bool`.
bool add_lifetimes(PyObject* module);

}  // namespace bytegraph
