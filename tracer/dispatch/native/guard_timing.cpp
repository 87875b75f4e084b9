// Guards are compiled to a program of their own and evaluated many times; the caller's program stays as it is.
#include "guard_timing.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "boundary.h"
#include "guard_program.h"
#include "small_array.h"

namespace bytegraph {
namespace {

constexpr int rounds = 5;      // the fastest counts, as others were interrupted
constexpr int evaluations = 20;  // of each round

// The seconds of one evaluation; negative with a Python error set if one fails to end.
double seconds_of(GuardProgram& program, const Call& call) {
  SmallArray<PyObject*, 32> arguments(program.input_count() + 1);
  std::vector<Object> owned;
  double fastest = std::numeric_limits<double>::infinity();
  for (int round = -1; round < rounds; ++round) {  // in the first, bindings are made
    auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < evaluations; ++i) {
      if (program.run(call, arguments.data(), owned) == Verdict::error) return -1;
      owned.clear();
    }
    std::chrono::duration<double> spent = std::chrono::steady_clock::now() - began;
    if (round >= 0) fastest = std::min(fastest, spent.count() / evaluations);
  }
  return fastest;
}

PyObject* guard_seconds(PyObject*, PyObject* args) {
  PyObject *guards, *inputs, *parameters, *function, *values;
  if (!PyArg_ParseTuple(args, "OOO!OO!:guard_seconds", &guards, &inputs, &PyTuple_Type, &parameters, &function,
                        &PyTuple_Type, &values)) {
    return nullptr;
  }
  if (PyTuple_GET_SIZE(parameters) != PyTuple_GET_SIZE(values)) {
    return PyErr_Format(PyExc_ValueError, "%zd values for %zd parameters", PyTuple_GET_SIZE(values),
                        PyTuple_GET_SIZE(parameters));
  }
  auto program = GuardProgram::make(guards, inputs, parameters);
  if (!program) return nullptr;
  double seconds = seconds_of(*program, {function, &PyTuple_GET_ITEM(values, 0)});
  return seconds < 0 ? nullptr : PyFloat_FromDouble(seconds);
}

PyMethodDef functions[] = {
    {"guard_seconds", method<guard_seconds>(), METH_VARARGS,
     "guard_seconds(guards, inputs, parameters, function, values): the seconds that one evaluation of the guards takes\n"
     "for a call of `function` whose `parameters` have these `values`"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_guard_timing(PyObject* module) { return PyModule_AddFunctions(module, functions) == 0; }

}  // namespace bytegraph
