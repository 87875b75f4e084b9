// The torch that an extension was built for, which must be the one that runs: their binary interfaces differ.
#pragma once

#include <Python.h>

#include <cstdio>
#include <torch/version.h>

namespace bytegraph {

// Whether torch has the version, patches apart, that `extension` was built for; else false with an ImportError that says
// what to do.
inline bool is_built_for_this_torch(const char* extension) {
  PyObject* torch = PyImport_ImportModule("torch");
  PyObject* version = torch ? PyObject_GetAttrString(torch, "__version__") : nullptr;
  Py_XDECREF(torch);
  const char* running = version ? PyUnicode_AsUTF8(version) : nullptr;
  int major = 0, minor = 0;
  bool is_same = running && std::sscanf(running, "%d.%d", &major, &minor) == 2 && major == TORCH_VERSION_MAJOR &&
                 minor == TORCH_VERSION_MINOR;
  if (running && !is_same) {
    PyErr_Format(PyExc_ImportError,
                 "%s was built for torch %d.%d, and torch %s is installed: install bytegraph again with "
                 "`pip install --no-build-isolation --force-reinstall --no-deps`, or build it in its tree with `python setup.py "
                 "build_ext --inplace --force`",
                 extension, TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, running);
  }
  Py_XDECREF(version);
  return is_same;
}

}  // namespace bytegraph
