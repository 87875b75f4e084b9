// Comparing a tensor with what a capture expects of it, directly on its TensorImpl.
// Knows nothing of guards, sources or how the tensor was reached.
#pragma once

#include <cstddef>
#include <memory>

#include "common.h"

namespace bytegraph {

class TensorCheck {
 public:
  // From a `TensorFacts` tuple, which must outlive the check. Null with a Python error if malformed.
  static std::unique_ptr<TensorCheck> make(PyObject* facts);
  virtual ~TensorCheck() = default;
  virtual Verdict operator()(PyObject* value) = 0;
};

struct TensorRecord {
  PyObject* tensor;
  TensorCheck* check;
  uint32_t node;
};

// True if every tensor still passes its check; they are known to be alive. Errors count as false.
bool tensors_hold(const TensorRecord* records, size_t count);

// A size, stride or the storage offset of a tensor. False if `value` is no tensor or has no such dimension.
enum class TensorNumber { size, stride, storage_offset };
bool tensor_number(PyObject* value, TensorNumber which, Py_ssize_t dim, int64_t* result);

// False with a Python error set if this build of torch lays out its tensor objects otherwise.
bool check_tensor_layout();

}  // namespace bytegraph
