// The extension module `tracer._native`. Import torch first: its libraries are needed to load this one.
#include "captured_function.h"
#include "interceptor.h"
#include "step.h"
#include "interceptor.h"

namespace {

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tracer._native", "Guards and dispatch, natively.", -1,
                          nullptr, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__native() {
  using namespace bytegraph;
  if (!check_tensor_layout()) return nullptr;
  Object module(PyModule_Create(&definition));
  bool made = module && add_entry_type(module.get()) && add_frame_cache_type(module.get()) &&
              add_captured_function_type(module.get()) && add_interceptor_type(module.get()) && add_step_type(module.get());
  return made ? module.release() : nullptr;
}
