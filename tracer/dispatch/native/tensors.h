// Compares a tensor with the facts that a capture relied on, directly on its TensorImpl. Nothing here knows about
// guards, sources or how the tensor was reached.
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

// True if every tensor passes its check. All of them must be alive. A Python error counts as a failed check.
bool tensors_hold(const TensorRecord* records, size_t count);

// A size, stride or the storage offset of a tensor. False if `value` is no tensor or has no such dimension.
enum class TensorNumber { size, stride, storage_offset };
bool tensor_number(PyObject* value, TensorNumber which, Py_ssize_t dim, int64_t* result);

// The addresses in which the elements of a tensor lie: from `begin` up to `end`. A tensor without elements, or without
// data, is where its storage is: `memory_span` in tracer/guards/aliasing.py defines it.
struct MemorySpan {
  uintptr_t begin, end;
  bool written;
};

// False if `value` is no tensor or has no storage. Leaves `written` as it is.
bool memory_span(PyObject* value, MemorySpan* span);

// Whether a written span shares memory with another one. Sorts the spans.
bool any_written_overlap(MemorySpan* spans, size_t count);

// False with a Python error if this build of torch has another layout of tensor objects.
bool check_tensor_layout();

}  // namespace bytegraph
