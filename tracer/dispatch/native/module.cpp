// The extension module `tracer._native`. Import torch first: its libraries are needed to load this one.
#include "boundary.h"
#include "built_for.h"
#include "captured_function.h"
#include "debugger.h"
#include "forks.h"
#include "guard_numbers.h"
#include "guard_timing.h"
#include "interceptor.h"
#include "lifetimes.h"
#include "module_call.h"
#include "step.h"
#include "watching.h"

namespace bytegraph {
namespace {

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tracer._native", "Guards and dispatch, natively.", -1,
                          nullptr, nullptr, nullptr, nullptr, nullptr};

// A dict of the numbers of one Python table, as they were when the extension was built.
template <size_t count>
Object numbers(const NamedNumber (&rows)[count]) {
  Object by_name(PyDict_New());
  for (const NamedNumber& row : rows) {
    Object number(by_name ? PyLong_FromLong(row.number) : nullptr);
    if (!number || PyDict_SetItemString(by_name.get(), row.name, number.get()) < 0) return Object();
  }
  return by_name;
}

bool add_numbers(PyObject* module) {
  Object accesses = numbers(access_numbers), checks = numbers(check_numbers), operations = numbers(operation_numbers);
  if (!accesses || !checks || !operations) return false;
  Object tables(Py_BuildValue("{sOsOsO}", "ACCESSORS", accesses.get(), "CHECKS", checks.get(), "OPERATIONS",
                              operations.get()));
  return tables && PyModule_AddObjectRef(module, "NUMBERS", tables.get()) == 0;
}

PyObject* create_module() {
  if (!is_built_for_this_torch("tracer._native") || !check_tensor_layout()) return nullptr;
  Object module(PyModule_Create(&definition));
  bool complete = module && add_entry_type(module.get()) && add_frame_cache_type(module.get()) &&
                  add_captured_function_type(module.get()) && add_module_call(module.get()) && add_interceptor_type(module.get()) &&
                  add_step_type(module.get()) && add_debugger_functions(module.get()) && add_lifetimes(module.get()) &&
                  add_guard_timing(module.get()) && add_numbers(module.get()) && add_watching(module.get()) &&
                  keep_forks_whole();
  return complete ? module.release() : nullptr;
}

}  // namespace
}  // namespace bytegraph

PyMODINIT_FUNC PyInit__native() { return bytegraph::guarded<bytegraph::create_module>(); }
