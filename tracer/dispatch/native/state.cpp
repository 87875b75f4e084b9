// Reads torch's thread-local and global settings through its C++ interface.
#include "state.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/PythonTorchFunctionTLS.h>
#include <c10/core/AutogradState.h>
#include <c10/core/DefaultDtype.h>
#include <c10/core/Device.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <c10/util/Exception.h>
#include <torch/csrc/Dtype.h>

#include <optional>
#include <utility>
#include <vector>

// From <ATen/autocast_mode.h>, which includes all of ATen.
namespace at::autocast {
TORCH_API at::ScalarType get_autocast_dtype(at::DeviceType device_type);
TORCH_API bool is_autocast_cache_enabled();
}  // namespace at::autocast

// From <ATen/DeviceAccelerator.h>.
namespace at::accelerator {
TORCH_API c10::DeviceIndex getDeviceIndex();
}  // namespace at::accelerator

namespace bytegraph {
namespace {

struct Settings {
  bool grad, inference, autocast, autocast_cache, deterministic, deterministic_warn_only;
  std::optional<c10::ScalarType> autocast_dtype;
  c10::ScalarType default_dtype;
  int64_t torch_function, function_modes, dispatch_modes;
  uint64_t included, excluded;
  std::optional<int64_t> threads, device_index;
  std::vector<std::pair<c10::DeviceType, c10::ScalarType>> autocast_dtypes;
};

class SettingsCheck final : public StateCheck {
 public:
  explicit SettingsCheck(Settings expected) : expected_(std::move(expected)) {}

  bool holds() const override {
    const auto& autograd = c10::AutogradState::get_tls_state();
    if (autograd.get_grad_mode() != expected_.grad) return false;
    if (autograd.get_inference_mode() != expected_.inference) return false;
    auto keys = c10::impl::tls_local_dispatch_key_set();
    if (keys.included_.raw_repr() != expected_.included) return false;
    if (keys.excluded_.raw_repr() != expected_.excluded) return false;
    if (at::impl::PythonTorchFunctionTLS::get_disabled_state() != expected_.torch_function) return false;
    if (at::impl::PythonTorchFunctionTLS::stack_len() != expected_.function_modes) return false;
    // Torch includes the dispatcher's key `Python` while a dispatch mode is on: keys without it say that none is.
    if (expected_.dispatch_modes && c10::impl::TorchDispatchModeTLS::stack_len() != expected_.dispatch_modes) return false;
    if (c10::get_default_dtype_as_scalartype() != expected_.default_dtype) return false;
    auto& context = at::globalContext();
    if (context.deterministicAlgorithms() != expected_.deterministic) return false;
    if (context.deterministicAlgorithmsWarnOnly() != expected_.deterministic_warn_only) return false;
    if (expected_.autocast && !autocast_holds()) return false;
    for (auto& [kind, dtype] : expected_.autocast_dtypes) {
      if (at::autocast::get_autocast_dtype(kind) != dtype) return false;
    }
    if (expected_.device_index && !device_holds()) return false;
    return !expected_.threads || *expected_.threads == at::get_num_threads();
  }

 private:
  bool autocast_holds() const {
    return at::autocast::is_autocast_cache_enabled() == expected_.autocast_cache &&
           at::autocast::get_autocast_dtype(at::kCPU) == expected_.autocast_dtype;
  }
  bool device_holds() const {
    try {
      return at::accelerator::getDeviceIndex() == *expected_.device_index;
    } catch (const c10::Error&) {  // there is no accelerator
      return false;
    }
  }

  Settings expected_;
};

// Reads the fields of a named tuple; the first that fails leaves a Python error.
class Reader {
 public:
  explicit Reader(PyObject* state) : state_(state) {}

  bool flag(const char* name) { return PyObject_IsTrue(field(name).get()) == 1; }
  int64_t number(const char* name) { return as_number(field(name).get()); }
  std::optional<int64_t> optional_number(const char* name) {
    Object value = field(name);
    return value.get() == Py_None ? std::nullopt : std::optional(as_number(value.get()));
  }
  std::optional<c10::ScalarType> dtype(const char* name) {
    Object value = field(name);
    if (!THPDtype_Check(value.get())) return std::nullopt;
    return reinterpret_cast<THPDtype*>(value.get())->scalar_type;
  }
  uint64_t word(const char* name) {
    Object value = field(name);
    return PyLong_Check(value.get()) ? PyLong_AsUnsignedLongLong(value.get()) : 0;
  }
  // Types of devices, by their names, each with a dtype.
  std::vector<std::pair<c10::DeviceType, c10::ScalarType>> dtypes(const char* name) {
    std::vector<std::pair<c10::DeviceType, c10::ScalarType>> result;
    Object value = field(name);
    Py_ssize_t count = PyTuple_Check(value.get()) ? PyTuple_GET_SIZE(value.get()) : 0;
    for (Py_ssize_t i = 0; i < count && !PyErr_Occurred(); ++i) {
      const char* kind = nullptr;
      PyObject* dtype = nullptr;
      if (!PyArg_ParseTuple(PyTuple_GET_ITEM(value.get(), i), "sO", &kind, &dtype)) break;
      if (!THPDtype_Check(dtype)) PyErr_SetString(PyExc_TypeError, "the dtype of autocast is none");
      else result.emplace_back(c10::Device(kind).type(), reinterpret_cast<THPDtype*>(dtype)->scalar_type);
    }
    return result;
  }

 private:
  Object field(const char* name) {
    PyObject* value = PyErr_Occurred() ? nullptr : PyObject_GetAttrString(state_, name);
    return value ? Object(value) : Object::borrow(Py_None);
  }
  static int64_t as_number(PyObject* value) { return PyLong_Check(value) ? PyLong_AsLongLong(value) : 0; }

  PyObject* state_;
};

}  // namespace

std::unique_ptr<StateCheck> StateCheck::make(PyObject* state) {
  Reader read(state);
  Settings expected{};
  expected.grad = read.flag("grad");
  expected.inference = read.flag("inference");
  expected.autocast = read.flag("autocast");
  expected.autocast_dtype = read.dtype("autocast_dtype");
  expected.autocast_cache = read.flag("autocast_cache");
  expected.default_dtype = read.dtype("default_dtype").value_or(c10::ScalarType::Undefined);
  expected.deterministic = read.flag("deterministic");
  expected.deterministic_warn_only = read.flag("deterministic_warn_only");
  expected.torch_function = read.number("torch_function");
  expected.function_modes = read.number("function_modes");
  expected.dispatch_modes = read.number("dispatch_modes");
  expected.included = read.word("included");
  expected.excluded = read.word("excluded");
  expected.threads = read.optional_number("threads");
  expected.device_index = read.optional_number("device_index");
  expected.autocast_dtypes = read.dtypes("autocast_dtypes");
  return PyErr_Occurred() ? nullptr : std::make_unique<SettingsCheck>(std::move(expected));
}

}  // namespace bytegraph
