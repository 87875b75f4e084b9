// The boundary between C++ and the C that calls it: CPython has no notion of a C++ exception, which would skip its
// frames and end the process. Every function that CPython is given a pointer to goes through `guarded`, `method` or
// `slot`; an exception that arrives there becomes a Python error.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <exception>
#include <new>
#include <type_traits>

namespace bytegraph {

// Call it in a handler: sets the Python error that stands for the C++ exception being handled.
inline void set_python_error() noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_Format(PyExc_RuntimeError, "C++ exception in bytegraph: %s", error.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "unknown C++ exception in bytegraph");
  }
}

template <auto function>
struct Boundary;

template <typename Result, typename... Arguments, Result (*function)(Arguments...)>
struct Boundary<function> {
  static Result call(Arguments... arguments) noexcept {
    try {
      return function(arguments...);
    } catch (...) {
      set_python_error();
    }
    if constexpr (std::is_pointer_v<Result>) {
      return nullptr;
    } else if constexpr (std::is_void_v<Result>) {
      PyErr_WriteUnraisable(nullptr);  // whoever calls it, a destructor say, cannot be told
    } else {
      return -1;
    }
  }
};

// The function to give to C in place of `function`. What it returns after an exception is null, or -1.
template <auto function>
constexpr auto guarded = &Boundary<function>::call;

// The same for a table of methods; CPython tells by the flags in the table which arguments it takes.
template <auto function>
PyCFunction method() {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(guarded<function>));
}

// The same for a table of type slots.
template <auto function>
void* slot() {
  return reinterpret_cast<void*>(guarded<function>);
}

}  // namespace bytegraph
