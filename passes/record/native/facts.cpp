// The facts of a call as one string of bytes. Equal facts give equal bytes, so that one lookup in a dictionary finds a
// call that was recorded before. The bytes cover everything that a record says of a call: sizes, strides, offsets,
// types, flags, which tensors are the same or share memory, every constant. No data is read, except integers if the user asked
// for them. Nothing here knows about operators, records or files.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <c10/core/TensorImpl.h>
#include <torch/csrc/Device.h>
#include <torch/csrc/Dtype.h>
#include <torch/csrc/Layout.h>
#include <torch/csrc/MemoryFormat.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/python_symnode.h>

#include <string>
#include <vector>

#include "boundary.h"
#include "built_for.h"

namespace {

enum Tag : char {
  none = 'N', truth = 'b', integer = 'i', big = 'I', real = 'f', complex = 'c', text = 's', tuple = '(',
  list = '[', dictionary = '{', piece = ':', tensor = 'T', device = 'd', singleton = '1', object = 'o',
};

class Writer {
 public:
  explicit Writer(int64_t most_integers) : most_integers_(most_integers) {
    bytes_.reserve(512);
  }

  const std::string& bytes() const { return bytes_; }

  // Whether an argument is a symbol or a tensor without memory of its own: then nothing real is computed.
  bool is_abstract() const { return abstract_; }

  template <typename Word>
  void word(Word value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  // False with a Python error.
  bool add(PyObject* value) {
    PyTypeObject* type = Py_TYPE(value);
    if (value == Py_None) return put(Tag::none);
    if (PyType_IsSubtype(type, reinterpret_cast<PyTypeObject*>(THPVariableClass))) {
      return add_tensor(THPVariable_Unpack(value));
    }
    if (PyBool_Check(value)) return put(Tag::truth, value == Py_True);
    if (PyLong_Check(value)) return add_integer(value);
    if (PyFloat_Check(value)) return put(Tag::real, PyFloat_AS_DOUBLE(value));
    if (PyTuple_Check(value)) return add_items(Tag::tuple, &PyTuple_GET_ITEM(value, 0), PyTuple_GET_SIZE(value));
    if (PyList_Check(value)) return add_items(Tag::list, PySequence_Fast_ITEMS(value), PyList_GET_SIZE(value));
    if (PyDict_Check(value)) return add_dictionary(value);
    if (PyUnicode_Check(value)) return add_text(Tag::text, value);
    if (PyComplex_Check(value)) return put(Tag::complex, PyComplex_AsCComplex(value));
    if (PySlice_Check(value)) return add_slice(reinterpret_cast<PySliceObject*>(value));
    if (THPDevice_Check(value)) {
      const auto& found = reinterpret_cast<THPDevice*>(value)->device;
      return put(Tag::device, found.type(), found.index());
    }
    if (THPDtype_Check(value) || THPLayout_Check(value) || THPMemoryFormat_Check(value)) {
      return put(Tag::singleton, value);
    }
    if (torch::is_symint(value) || torch::is_symfloat(value) || torch::is_symbool(value)) abstract_ = true;
    return put(Tag::object, type);
  }

  template <typename... Words>
  bool put(Tag tag, Words... values) {
    bytes_.push_back(tag);
    (word(values), ...);
    return true;
  }

  template <typename... Words>
  bool put(Words... values) {
    (word(values), ...);
    return true;
  }

 private:
  bool add_integer(PyObject* value) {
    int overflow = 0;
    const long long found = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow) return put(Tag::integer, found);
    PyObject* written = PyNumber_ToBase(value, 16);
    const bool added = written != nullptr && add_text(Tag::big, written);
    Py_XDECREF(written);
    return added;
  }

  // The characters as they are in memory; equal texts have equal widths.
  bool add_text(Tag tag, PyObject* value) {
    if (PyUnicode_READY(value) < 0) return false;
    const auto width = PyUnicode_KIND(value);
    const Py_ssize_t length = PyUnicode_GET_LENGTH(value);
    put(tag, length, static_cast<char>(width));
    bytes_.append(static_cast<const char*>(PyUnicode_DATA(value)), length * static_cast<Py_ssize_t>(width));
    return true;
  }

  bool add_items(Tag tag, PyObject* const* items, Py_ssize_t count) {
    if (Py_EnterRecursiveCall(" in the facts of a call")) return false;
    put(tag, count);
    bool added = true;
    for (Py_ssize_t index = 0; added && index < count; ++index) added = add(items[index]);
    Py_LeaveRecursiveCall();
    return added;
  }

  bool add_dictionary(PyObject* value) {
    put(Tag::dictionary, PyDict_GET_SIZE(value));
    PyObject *key, *item;
    for (Py_ssize_t position = 0; PyDict_Next(value, &position, &key, &item);) {
      if (!add(key) || !add(item)) return false;
    }
    return true;
  }

  bool add_slice(PySliceObject* value) {
    put(Tag::piece);
    return add(value->start) && add(value->stop) && add(value->step);
  }

  bool add_tensor(const at::Tensor& value) {
    c10::TensorImpl* impl = value.unsafeGetTensorImpl();
    const int64_t same = index_in(tensors_, impl);
    put(Tag::tensor, same, impl->device_type(), impl->device().index(), impl->layout(),
        c10::typeMetaToScalarType(impl->dtype()));
    if (impl->device_type() == c10::kMeta || impl->has_symbolic_sizes_strides()) {
      abstract_ = true;
      return true;
    }
    const bool grad = impl->requires_grad();
    const bool nested = value.is_nested();
    if (nested || impl->layout() != c10::kStrided) {
      put(grad, nested);
      if (nested) return true;
      for (const int64_t size : impl->sizes()) word(size);
      return true;
    }
    const int flags = (grad ? 1 : 0) | (impl->is_conj() ? 2 : 0) | (impl->is_neg() ? 4 : 0);
    put(static_cast<char>(flags));
    if (!impl->has_storage()) {  // a wrapper of another tensor, as in torch.func
      abstract_ = true;
      return true;
    }
    word(index_in(memories_, impl->unsafe_storage().unsafeGetStorageImpl()));
    const auto sizes = impl->sizes(), strides = impl->strides();
    word(static_cast<int64_t>(sizes.size()));
    word(impl->storage_offset());
    for (const int64_t size : sizes) word(size);
    for (const int64_t stride : strides) word(stride);
    if (most_integers_ > 0) add_integers(impl);
    return true;
  }

  // The bytes of the values of a small integer tensor on the CPU.
  void add_integers(const c10::TensorImpl* impl) {
    const auto type = c10::typeMetaToScalarType(impl->dtype());
    if (!c10::isIntegralType(type, /*includeBool=*/true) || impl->numel() > most_integers_) return;
    if (impl->device_type() != c10::kCPU || impl->numel() == 0 || impl->data() == nullptr) return;
    const size_t width = impl->itemsize();
    const auto sizes = impl->sizes(), strides = impl->strides();
    const char* data = static_cast<const char*>(impl->data());
    for (int64_t element = 0; element < impl->numel(); ++element) {
      int64_t rest = element, offset = 0;
      for (int64_t dim = static_cast<int64_t>(sizes.size()) - 1; dim >= 0; --dim) {
        offset += rest % sizes[dim] * strides[dim];
        rest /= sizes[dim];
      }
      bytes_.append(data + offset * static_cast<int64_t>(width), width);
    }
  }

  // The index at which `one` was first seen. A call has few tensors: a linear search is faster than hashing.
  static int64_t index_in(std::vector<const void*>& seen, const void* one) {
    for (size_t index = 0; index < seen.size(); ++index) {
      if (seen[index] == one) return static_cast<int64_t>(index);
    }
    seen.push_back(one);
    return static_cast<int64_t>(seen.size()) - 1;
  }

  int64_t most_integers_;
  bool abstract_ = false;
  std::string bytes_;
  std::vector<const void*> tensors_, memories_;
};

PyObject* facts_of(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count < 2) {
    PyErr_SetString(PyExc_TypeError, "facts_of(most_integers, operator, *values)");
    return nullptr;
  }
  const long long most_integers = PyLong_AsLongLong(args[0]);
  if (most_integers == -1 && PyErr_Occurred()) return nullptr;
  Writer writer(most_integers);
  writer.put(Tag::singleton, args[1]);  // the operator, compared by identity
  for (Py_ssize_t index = 2; index < count; ++index) {
    if (!writer.add(args[index])) return nullptr;
  }
  if (writer.is_abstract()) Py_RETURN_NONE;
  return PyBytes_FromStringAndSize(writer.bytes().data(), static_cast<Py_ssize_t>(writer.bytes().size()));
}

PyMethodDef methods[] = {
    {"facts_of", bytegraph::method<facts_of>(), METH_FASTCALL,
     "facts_of(most_integers, operator, *values): bytes that are equal for calls with equal facts, None for "
     "calls on tensors without memory"},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "passes.record._facts", nullptr, -1, methods,
                      nullptr, nullptr, nullptr, nullptr};

PyObject* create_module() {
  return bytegraph::is_built_for_this_torch("passes.record._facts") ? PyModule_Create(&module) : nullptr;
}

}  // namespace

PyMODINIT_FUNC PyInit__facts() { return bytegraph::guarded<create_module>(); }
