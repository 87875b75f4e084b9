// `CapturedFunction`: stands in for a function and sends its calls through a FrameCache.
#pragma once

#include "frame_cache.h"

namespace bytegraph {

bool add_captured_function_type(PyObject* module);

}  // namespace bytegraph
