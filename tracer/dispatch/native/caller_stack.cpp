#include "caller_stack.h"

#include <algorithm>

#include "frame_layout.h"
#include "lifetimes.h"

namespace bytegraph {

bool are_on_stack(PyObject* callable, PyObject* const* args, size_t count) {
  _PyInterpreterFrame* frame = current_frame(PyThreadState_Get());
  if (!frame || !code_of(frame) || !PyCode_Check(code_of(frame))) return false;
  PyCodeObject* code = code_of(frame);
  PyObject* const* bottom = frame->localsplus + code->co_nlocalsplus;
  if (args <= bottom || args + count > bottom + code->co_stacksize) return false;
  // What else calls with a part of the stack (a partial, a bound method) stands there itself, or has put something there.
  return stands_below(callable, bottom, args);
}

bool end_visibly_with_call(PyObject* const* args, size_t count) {
  return std::any_of(args, args + count, [](PyObject* argument) {
    return Py_REFCNT(argument) == 1 && ends_visibly(argument);
  });
}

Object take_from_stack(PyObject* const* args, size_t count) {
  Object taken(PyTuple_New(count));
  for (size_t i = 0; taken && i < count; ++i) {
    PyTuple_SET_ITEM(taken.get(), i, std::exchange(const_cast<PyObject**>(args)[i], Py_NewRef(Py_None)));
  }
  return taken;
}

}  // namespace bytegraph
