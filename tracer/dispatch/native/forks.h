#pragma once
#include "common.h"

namespace bytegraph {

// Once for each process: from now on its forks happen while no kernel draws random numbers. False with a Python error.
bool keep_forks_whole();

}  // namespace bytegraph
