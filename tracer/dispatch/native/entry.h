// `Entry`: the result of one capture: its guards, its residual program, and the sources of the program's inputs.
#pragma once

#include <memory>

#include "guard_program.h"

namespace bytegraph {

struct Entry {
  PyObject_HEAD
  PyObject* guards;
  PyObject* inputs;
  PyObject* program;  // None: the original function runs
  Py_ssize_t hits;
  bool arguments_are_held;  // it lets go of arguments whose ends nobody looked at, as its caller holds them
  PyObject* weak_references;
  GuardProgram* native;  // compiled when the entry is added to a cache
};

// The type, ready after `add_entry_type`.
extern PyTypeObject* entry_type;
bool add_entry_type(PyObject* module);

// Compiles the guards for functions whose parameters are `names`. False with a Python error on failure.
bool prepare_entry(Entry* entry, PyObject* names);

// The values of an entry's inputs as a tuple if its guards, which are compiled, hold for a call; None if they do not.
Object inputs_of(Entry* entry, const Call& call);

}  // namespace bytegraph
