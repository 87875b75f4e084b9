// `FrameCache`: the entries of one code object, from which a call chooses the one whose guards hold.
#pragma once

#include <vector>

#include "arguments.h"
#include "entry.h"

namespace bytegraph {

struct FrameCache {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  PyObject* code;
  PyObject* on_miss;
  PyObject* on_limit;
  PyObject* strict;
  PyObject* interceptor;  // active while an original function runs, or None
  PyObject* weak_references;
  Py_ssize_t recompile_limit;
  Py_ssize_t hits, misses, originals;
  bool owns_arguments;  // whether the function took over the arguments of the call that missed last
  Py_ssize_t wasted;  // entries that died before they were hit
  char enabled;
  bool limit_reported;
  Signature* signature;
  std::vector<Entry*>* entries;  // owned, most recently hit first
};

extern PyTypeObject* frame_cache_type;
bool add_frame_cache_type(PyObject* module);

// `function(*args, **keywords)` through the cache; arguments as in the vectorcall protocol. They were passed to
// `callable`, if that stands for the function.
PyObject* dispatch(FrameCache* cache, PyObject* function, PyObject* const* args, size_t count, PyObject* keywords,
                   PyObject* callable = nullptr);

// The result of a frame of `function` that is about to run, with these parameters; or null with `*is_original` set, if
// the frame itself is to run. What the frame owns is given up when the program goes on in frames of its own.
PyObject* answer_frame(FrameCache* cache, PyObject* function, PyObject** locals, bool* is_original);

}  // namespace bytegraph
