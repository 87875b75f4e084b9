// Binds the arguments of a call to parameters as CPython does. Nothing here knows about guards or caches.
#pragma once

#include <vector>

#include "common.h"

namespace bytegraph {

// Whether the arguments of a call fit the parameters.
enum class Fit { error = -1, no = 0, yes = 1 };

class Signature {
 public:
  // False with a Python error if `code` is not a code object. The code object must outlive this.
  bool read(PyObject* code);

  size_t size() const { return size_; }
  PyObject* names() const { return names_.get(); }

  // Parameter values in `co_varnames` order into `locals`, borrowed or kept in `owned`; defaults are
  // those of `function`. `no` if the arguments do not fit; the original function raises the right error then.
  Fit bind(PyObject* function, PyObject* const* args, Py_ssize_t count, PyObject* keywords,
               PyObject** locals, std::vector<Object>& owned) const;

  // Arguments that give these parameter values, borrowed, and the names of the last of them (a new
  // tuple, to go to `keywords`). False with a Python error on failure.
  bool unbind(PyObject* const* locals, std::vector<PyObject*>& args, Object& keywords) const;

 private:
  Fit bind_keywords(PyObject* const* values, PyObject* keywords, PyObject** locals, PyObject* rest) const;
  bool fill_defaults(PyObject* function, PyObject** locals) const;
  Py_ssize_t find(PyObject* name) const;

  Object names_;
  Py_ssize_t positional_ = 0, positional_only_ = 0, keyword_only_ = 0;
  bool takes_rest_ = false, takes_keywords_ = false;
  size_t size_ = 0;
};

}  // namespace bytegraph
