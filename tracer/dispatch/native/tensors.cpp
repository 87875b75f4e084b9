// Tensor checks. The full comparison goes field by field. The first tensor to pass it leaves a copy of its metadata
// bytes; a tensor with the same bytes passes at once.
#include "tensors.h"

#include <c10/core/TensorImpl.h>
#include <c10/util/Exception.h>
#include <torch/csrc/Device.h>
#include <torch/csrc/Dtype.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

namespace bytegraph {
namespace {

// The start of torch's THPVariable, whose header is too heavy to include; see check_tensor_layout.
struct TensorObject {
  PyObject_HEAD
  c10::TensorImpl* impl;
};

// Copied as bytes, as torch wrote it through another type (see binding.h on strict aliasing).
template <typename Pointer>
Pointer load_pointer(const void* address) {
  Pointer pointer;
  std::memcpy(&pointer, address, sizeof pointer);
  return pointer;
}

c10::TensorImpl* impl_of(PyObject* tensor) {
  return load_pointer<c10::TensorImpl*>(reinterpret_cast<const char*>(tensor) + offsetof(TensorObject, impl));
}

PyTypeObject* tensor_base() {
  static PyTypeObject* base = [] {
    Object module(PyImport_ImportModule("torch._C"));
    PyObject* type = module ? PyObject_GetAttrString(module.get(), "TensorBase") : nullptr;
    PyErr_Clear();
    return reinterpret_cast<PyTypeObject*>(type);
  }();
  return base;
}

// Where TensorImpl keeps sizes, strides, offset, dtype, device, flags and dispatch keys: one run of bytes.
struct Layout : c10::TensorImpl {
  static constexpr size_t length = sizeof(c10::impl::SizesAndStrides) + 3 * sizeof(int64_t) + sizeof(c10::DispatchKeySet);

  static const char* start(const c10::TensorImpl* impl) {
    return reinterpret_cast<const char*>(&(impl->*(&Layout::sizes_and_strides_)));
  }
  // The private `autograd_meta_`, which lies just before `extra_meta_`; see check_tensor_layout.
  static c10::AutogradMetaInterface* autograd_meta(const c10::TensorImpl* impl) {
    auto* extra = reinterpret_cast<const char*>(&(impl->*(&Layout::extra_meta_)));
    return load_pointer<c10::AutogradMetaInterface*>(extra - sizeof(c10::AutogradMetaInterface*));
  }
  static bool is_one_run(const c10::TensorImpl* impl) {
    auto end = reinterpret_cast<const char*>(&(impl->*(&Layout::key_set_))) + sizeof(c10::DispatchKeySet);
    return end - start(impl) == length;
  }
};

// Two words at once, with the vector instructions that every compiler's target has.
typedef uint64_t Pair __attribute__((vector_size(16)));

Pair load_pair(const char* bytes) {
  Pair pair;
  std::memcpy(&pair, bytes, sizeof pair);
  return pair;
}

constexpr size_t compared = Layout::length;
static_assert(compared >= sizeof(Pair));
constexpr size_t most_inline_dims = 5;  // beyond, TensorImpl keeps sizes elsewhere

struct Expected {
  PyTypeObject* type;
  c10::DispatchKeySet keys;
  c10::ScalarType dtype;
  c10::Device device = c10::Device(c10::DeviceType::CPU);
  bool requires_grad;
  bool has_strides;
  bool any_skipped = false;
  bool offset_asked = false;
  bool leaf_asked = false;
  int64_t offset = 0;
  bool is_leaf = true;
  struct Dim {
    int64_t size, stride;
    bool size_skipped, stride_skipped;
  };
  std::vector<Dim> dims;
};

// Torch makes no other AutogradMeta than its own. The flag of a leaf, such as a parameter, says it without a call.
bool requires_grad(const c10::TensorImpl* impl) {
  auto* meta = Layout::autograd_meta(impl);
  return meta && (static_cast<const torch::autograd::AutogradMeta*>(meta)->requires_grad_ || meta->requires_grad());
}

class MetadataCheck final : public TensorCheck {
 public:
  explicit MetadataCheck(Expected expected) : expected_(std::move(expected)) {}

  Verdict operator()(PyObject* value) override {
    if (Py_TYPE(value) != expected_.type) return Verdict::fails;
    if (!matches(impl_of(value))) return Verdict::fails;
    return expected_.leaf_asked ? leaf_matches(value) : Verdict::holds;
  }

  bool fast(PyObject* value) {
    if (Py_TYPE(value) != expected_.type || expected_.leaf_asked) return (*this)(value) == Verdict::holds;
    return matches(impl_of(value));
  }

 private:
  bool matches(c10::TensorImpl* impl) {
    if (requires_grad(impl) != expected_.requires_grad) return false;
    return same_bytes(impl) || matches_slowly(impl);
  }

  bool same_bytes(const c10::TensorImpl* impl) const {
    if (!has_exemplar_) return false;
    const char* bytes = Layout::start(impl);
    Pair different = {};
#pragma GCC unroll 8
    for (size_t at = 0; at < compared; at += sizeof(Pair)) {
      size_t place = std::min(at, compared - sizeof(Pair));  // the last pair overlaps the one before it
      different |= load_pair(bytes + place) ^ load_pair(exemplar_ + place);
    }
    return (different[0] | different[1]) == 0;
  }

  bool matches_slowly(c10::TensorImpl* impl) {
    try {
      if (!fields_match(impl)) return false;
    } catch (const c10::Error&) {  // a tensor without sizes is not like the captured one
      return false;
    }
    if (!expected_.any_skipped && expected_.dims.size() <= most_inline_dims && Layout::is_one_run(impl)) {
      std::memcpy(exemplar_, Layout::start(impl), compared);
      has_exemplar_ = true;
    }
    return true;
  }

  bool fields_match(c10::TensorImpl* impl) const {
    if (impl->key_set() != expected_.keys) return false;
    if (impl->dtype().toScalarType() != expected_.dtype || impl->device() != expected_.device) return false;
    if (impl->has_symbolic_sizes_strides()) return false;
    auto sizes = impl->sizes();
    if (sizes.size() != expected_.dims.size()) return false;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (!expected_.dims[i].size_skipped && sizes[i] != expected_.dims[i].size) return false;
    }
    if (expected_.has_strides) {
      auto strides = impl->strides();
      for (size_t i = 0; i < strides.size(); ++i) {
        if (!expected_.dims[i].stride_skipped && strides[i] != expected_.dims[i].stride) return false;
      }
    }
    return !expected_.offset_asked || impl->storage_offset() == expected_.offset;
  }

  Verdict leaf_matches(PyObject* value) const {
    Object leaf(PyObject_GetAttrString(value, "is_leaf"));
    if (!leaf) return unreadable();
    return (leaf.get() == Py_True) == expected_.is_leaf ? Verdict::holds : Verdict::fails;
  }

  Expected expected_;
  bool has_exemplar_ = false;
  char exemplar_[compared];
};

bool read_bool(PyObject* meta, const char* name, bool* result) {
  Object value(PyObject_GetAttrString(meta, name));
  if (value) *result = value.get() == Py_True;
  return static_cast<bool>(value);
}

// Passes the ints of the sequence `values` to `set`; an item that is no int (a symbol) is marked as skipped.
template <typename Set>
bool read_numbers(PyObject* values, size_t count, Set set) {
  Object sequence(PySequence_Fast(values, "sizes and strides are sequences"));
  if (!sequence || static_cast<size_t>(PySequence_Fast_GET_SIZE(sequence.get())) != count) return false;
  for (size_t i = 0; i < count; ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(sequence.get(), i);
    bool is_int = PyLong_CheckExact(item);
    set(i, is_int ? PyLong_AsLongLong(item) : 0, !is_int);
  }
  return !PyErr_Occurred();
}

bool read_meta(PyObject* meta, Expected* expected) {
  Object shape(PyObject_GetAttrString(meta, "shape")), stride(PyObject_GetAttrString(meta, "stride"));
  Object dtype(PyObject_GetAttrString(meta, "dtype")), device(PyObject_GetAttrString(meta, "device"));
  Object offset(PyObject_GetAttrString(meta, "storage_offset"));
  if (!shape || !stride || !dtype || !device || !offset) return false;
  if (!THPDtype_Check(dtype.get()) || !THPDevice_Check(device.get())) return false;
  expected->dtype = reinterpret_cast<THPDtype*>(dtype.get())->scalar_type;
  expected->device = reinterpret_cast<THPDevice*>(device.get())->device;
  Py_ssize_t rank = PyObject_Size(shape.get());
  if (rank < 0) return false;
  auto& dims = expected->dims;
  dims.resize(rank);
  bool& any = expected->any_skipped;
  bool read = read_numbers(shape.get(), rank, [&](size_t i, int64_t size, bool skipped) {
    dims[i].size = size;
    any |= dims[i].size_skipped = skipped;
  });
  expected->has_strides = stride.get() != Py_None;
  if (expected->has_strides) {
    read = read && read_numbers(stride.get(), rank, [&](size_t i, int64_t size, bool skipped) {
      dims[i].stride = size;
      any |= dims[i].stride_skipped = skipped;
    });
  }
  if (PyLong_CheckExact(offset.get())) expected->offset = PyLong_AsLongLong(offset.get());
  return read && read_bool(meta, "requires_grad", &expected->requires_grad) &&
         read_bool(meta, "is_leaf", &expected->is_leaf) && !PyErr_Occurred();
}

bool read_asked(PyObject* asked, Expected* expected) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(asked); ++i) {
    PyObject* name = PyTuple_GET_ITEM(asked, i);
    if (!PyUnicode_Check(name)) return false;
    if (PyUnicode_CompareWithASCIIString(name, "storage_offset") == 0) {
      expected->offset_asked = expected->any_skipped = true;
    } else if (PyUnicode_CompareWithASCIIString(name, "is_leaf") == 0) {
      expected->leaf_asked = true;
    } else {
      return false;
    }
  }
  return true;
}

bool read_facts(PyObject* facts, Expected* expected) {
  if (!PyTuple_Check(facts) || PyTuple_GET_SIZE(facts) != 5) return false;
  PyObject *type = PyTuple_GET_ITEM(facts, 1), *keys = PyTuple_GET_ITEM(facts, 2);
  PyObject *dynamic = PyTuple_GET_ITEM(facts, 3), *asked = PyTuple_GET_ITEM(facts, 4);
  if (!PyType_Check(type) || !PyTuple_Check(dynamic) || !PyTuple_Check(asked)) return false;
  expected->type = reinterpret_cast<PyTypeObject*>(type);
  if (!tensor_base() || !PyType_IsSubtype(expected->type, tensor_base())) return false;
  uint64_t raw_keys = PyLong_AsUnsignedLongLong(keys);
  if (PyErr_Occurred() || !read_meta(PyTuple_GET_ITEM(facts, 0), expected)) return false;
  expected->keys = c10::DispatchKeySet(c10::DispatchKeySet::RAW, raw_keys);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(dynamic); ++i) {
    Py_ssize_t dim = PyLong_AsSsize_t(PyTuple_GET_ITEM(dynamic, i));
    if (dim < 0 || dim >= static_cast<Py_ssize_t>(expected->dims.size())) return false;
    expected->dims[dim].size_skipped = expected->any_skipped = true;
  }
  return read_asked(asked, expected);
}

}  // namespace

std::unique_ptr<TensorCheck> TensorCheck::make(PyObject* facts) {
  Expected expected{};
  if (read_facts(facts, &expected)) return std::make_unique<MetadataCheck>(std::move(expected));
  if (!PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "not a TensorFacts: %R", facts);
  return nullptr;
}

bool tensors_hold(const TensorRecord* records, size_t count) {
  constexpr size_t far = 16, near = 8, next = 4;  // how many records ahead each pointer is prefetched
  for (size_t i = 0; i < count; ++i) {
    if (i + far < count) __builtin_prefetch(records[i + far].tensor);
    if (i + near < count) {
      auto* impl = reinterpret_cast<const char*>(impl_of(records[i + near].tensor));
      for (size_t line = 0; line < sizeof(c10::TensorImpl); line += 64) __builtin_prefetch(impl + line);
    }
    if (i + next < count) __builtin_prefetch(Layout::autograd_meta(impl_of(records[i + next].tensor)));
    if (!static_cast<MetadataCheck*>(records[i].check)->fast(records[i].tensor)) {
      PyErr_Clear();
      return false;
    }
  }
  return true;
}

bool tensor_number(PyObject* value, TensorNumber which, Py_ssize_t dim, int64_t* result) {
  if (!tensor_base() || !PyObject_TypeCheck(value, tensor_base())) return false;
  c10::TensorImpl* impl = impl_of(value);
  try {
    if (impl->has_symbolic_sizes_strides()) return false;
    if (which == TensorNumber::storage_offset) {
      *result = impl->storage_offset();
      return true;
    }
    auto numbers = which == TensorNumber::size ? impl->sizes() : impl->strides();
    if (dim < 0) dim += numbers.size();
    if (dim < 0 || dim >= static_cast<Py_ssize_t>(numbers.size())) return false;
    *result = numbers[dim];
    return true;
  } catch (const c10::Error&) {
    return false;
  }
}

bool memory_span(PyObject* value, MemorySpan* span) {
  if (!tensor_base() || !PyObject_TypeCheck(value, tensor_base())) return false;
  c10::TensorImpl* impl = impl_of(value);
  try {
    if (impl->layout() != c10::kStrided || !impl->has_storage() || impl->has_symbolic_sizes_strides()) return false;
    c10::StorageImpl* storage = impl->unsafe_storage().unsafeGetStorageImpl();
    auto data = reinterpret_cast<uintptr_t>(storage->data());
    if (!data || impl->numel() == 0) {
      span->begin = reinterpret_cast<uintptr_t>(storage);
      span->end = span->begin + 1;
      return true;
    }
    auto sizes = impl->sizes(), strides = impl->strides();
    int64_t last = 0;
    for (size_t i = 0; i < sizes.size(); ++i) last += (sizes[i] - 1) * strides[i];
    size_t width = impl->itemsize();
    span->begin = data + impl->storage_offset() * width;
    span->end = span->begin + (last + 1) * width;
    return true;
  } catch (const c10::Error&) {
    return false;
  }
}

bool any_written_overlap(MemorySpan* spans, size_t count) {
  std::sort(spans, spans + count, [](const MemorySpan& a, const MemorySpan& b) { return a.begin < b.begin; });
  uintptr_t end = 0, written_end = 0;  // of the spans, and of the written spans, that begin before
  for (size_t i = 0; i < count; ++i) {
    if (spans[i].begin < (spans[i].written ? end : written_end)) return true;
    end = std::max(end, spans[i].end);
    if (spans[i].written) written_end = std::max(written_end, spans[i].end);
  }
  return false;
}

bool check_tensor_layout() {
  Object torch(PyImport_ImportModule("torch"));
  Object tensor(torch ? PyObject_CallMethod(torch.get(), "empty", "i", 1) : nullptr);
  Object same(tensor ? PyObject_CallMethod(tensor.get(), "requires_grad_", nullptr) : nullptr);
  Object address(same ? PyObject_GetAttrString(tensor.get(), "_cdata") : nullptr);
  if (!address) return false;
  auto* impl = impl_of(tensor.get());
  bool is_impl = PyLong_AsVoidPtr(address.get()) == impl;
  if (is_impl && impl->autograd_meta() && impl->autograd_meta() == Layout::autograd_meta(impl)) return true;
  PyErr_SetString(PyExc_ImportError, "this torch lays out tensor objects in a way bytegraph does not know");
  return false;
}

}  // namespace bytegraph
