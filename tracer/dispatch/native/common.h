// Python.h, owning references, and verdicts on guards.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstdint>
#include <utility>

namespace bytegraph {

// An owned reference. `Object(p)` takes over the reference `p`; `Object::borrow(p)` makes one.
class Object {
 public:
  Object() = default;
  explicit Object(PyObject* owned) : pointer_(owned) {}
  static Object borrow(PyObject* borrowed) {
    Py_XINCREF(borrowed);
    return Object(borrowed);
  }
  Object(Object&& other) noexcept : pointer_(other.release()) {}
  Object& operator=(Object&& other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  ~Object() { Py_XDECREF(pointer_); }

  PyObject* get() const { return pointer_; }
  PyObject* release() { return std::exchange(pointer_, nullptr); }
  PyObject** address() { return &pointer_; }
  explicit operator bool() const { return pointer_ != nullptr; }

 private:
  PyObject* pointer_ = nullptr;
};

enum class Verdict { error = -1, fails = 0, holds = 1 };

// The verdict after a Python API call failed while a guarded value was read: an exception that says "not there" is a
// failed guard; any other (an interrupt, a lack of memory) is an error and stays set.
inline Verdict unreadable() {
  if (!PyErr_Occurred()) return Verdict::fails;
  PyObject* expected[] = {PyExc_LookupError, PyExc_AttributeError, PyExc_TypeError, PyExc_ValueError};
  for (PyObject* kind : expected) {
    if (PyErr_ExceptionMatches(kind)) {
      PyErr_Clear();
      return Verdict::fails;
    }
  }
  return Verdict::error;
}

}  // namespace bytegraph
