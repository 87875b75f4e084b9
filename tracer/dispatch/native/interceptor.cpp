// Intercepting frames with PEP 523; no other file knows interpreter frames, but frame_layout.h, which has what differs
// between versions of CPython. A frame that is about to run either runs as usual, or `cache.call_bound(function,
// *parameter values)` answers it if its code has a cache.
//
// The evaluation function of the interpreter is replaced only while a thread has an active interceptor, as a custom one
// slows down every call. Others replace it too (torch does): frames are passed on to the function that was installed
// before ours, and never to ours.
#include "interceptor.h"

#include "boundary.h"

#include <structmember.h>

#include <algorithm>
#include <vector>

#include "debugger.h"
#include "frame_cache.h"
#include "frame_layout.h"
#include "small_array.h"
#include "stack.h"

namespace bytegraph {
namespace {

struct Interceptor {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  PyObject* handler;
  uint64_t id;  // unique for ever, so that decisions refer to an interceptor without keeping it alive
};

// What an interceptor decided about a code object: a weak reference to its cache, or null to run it as usual. Below a
// frame of a `quiet` code object nothing is intercepted.
struct Decision {
  uint64_t id;
  Object cache;
  bool quiet;
};

// How a frame is answered: by `cache`, or, if it is null, by running it as usual.
struct Answer {
  Object cache;
  bool quiet;
};

// All decisions about a code object. They are kept in its `co_extra` and freed with it.
struct Decisions {
  uint64_t generation;
  bool never;
  std::vector<Decision> rows;
};

struct ThreadState {
  Interceptor* active = nullptr;               // owned
  PyCodeObject* spared = nullptr;              // if the next frame is of this code, it runs as usual
  PyObject** handed_over = nullptr;            // what owns the arguments of that frame, until it runs
  _PyInterpreterFrame* passed_on = nullptr;    // the frame that was last given to `previous`
};

PyTypeObject* interceptor_type = nullptr;
PyObject* call_bound = nullptr;  // the name of the method, interned
PyObject* finalizer_name = nullptr;
PyObject* collector_callbacks = nullptr;  // the list `gc.callbacks`
PyObject* torch_callback = nullptr;  // the function that returns what torch.compile has set for this thread
PyTypeObject* unraisable_type = nullptr;  // of what `sys.unraisablehook` is called with
thread_local ThreadState current;
Py_ssize_t extra_index = -1;
uint64_t next_id = 1, generation = 1;
Py_ssize_t active_threads = 0;
_PyFrameEvalFunction previous = nullptr;  // the evaluation function before ours; null until ours is installed
bool linked = false;                      // whether ours is installed, perhaps below another one

constexpr int not_plain = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR;
constexpr int plain_function = CO_OPTIMIZED | CO_NEWLOCALS;

PyObject* evaluate(PyThreadState* thread, _PyInterpreterFrame* frame, int throwing);

const _PyFrameEvalFunction our_evaluation = guarded<evaluate>;

void install(PyInterpreterState* interpreter) {
  _PyFrameEvalFunction installed = _PyInterpreterState_GetEvalFrameFunc(interpreter);
  if (installed == our_evaluation || (linked && installed != _PyEval_EvalFrameDefault)) return;
  previous = installed;
  linked = true;
  _PyInterpreterState_SetEvalFrameFunc(interpreter, our_evaluation);
}

void uninstall(PyInterpreterState* interpreter) {
  // Another function that was installed later calls ours: leave both.
  if (_PyInterpreterState_GetEvalFrameFunc(interpreter) != our_evaluation) return;
  _PyInterpreterState_SetEvalFrameFunc(interpreter, previous);
  linked = false;
}

// Makes `interceptor` (owned, may be null) the active one; returns the one before it, owned.
Interceptor* exchange(Interceptor* interceptor) {
  Interceptor* before = std::exchange(current.active, interceptor);
  if (!before == !interceptor) return before;
  PyInterpreterState* interpreter = PyThreadState_Get()->interp;
  active_threads += interceptor ? 1 : -1;
  if (interceptor && active_threads == 1) install(interpreter);
  if (!interceptor && active_threads == 0) uninstall(interpreter);
  return before;
}

// Makes an interceptor (or none) the active one during its life.
class Active {
 public:
  explicit Active(Interceptor* interceptor) {
    Py_XINCREF(interceptor);
    before_ = exchange(interceptor);
  }
  ~Active() { Py_XDECREF(exchange(before_)); }
  Active(const Active&) = delete;
  Active& operator=(const Active&) = delete;

 private:
  Interceptor* before_;
};

PyObject* run_as_usual(PyThreadState* thread, _PyInterpreterFrame* frame, int throwing) {
  if (!previous || previous == _PyEval_EvalFrameDefault || current.passed_on == frame) {
    return _PyEval_EvalFrameDefault(thread, frame, throwing);
  }
  _PyInterpreterFrame* before = std::exchange(current.passed_on, frame);
  PyObject* result = previous(thread, frame, throwing);
  current.passed_on = before;
  return result;
}

void drop_decisions(void* decisions) { delete static_cast<Decisions*>(decisions); }

Decisions* decisions_of(PyObject* code) {
  void* extra = nullptr;
  if (_PyCode_GetExtra(code, extra_index, &extra) < 0) return nullptr;
  auto* decisions = static_cast<Decisions*>(extra);
  if (decisions && decisions->generation == generation) return decisions;
  bool never = decisions && decisions->never;
  auto* fresh = new Decisions{generation, never, {}};
  if (_PyCode_SetExtra(code, extra_index, fresh) < 0) {  // frees the old ones
    delete fresh;
    return nullptr;
  }
  return fresh;
}

// Calls the handler, and remembers its answer.
Answer ask(Interceptor* interceptor, PyObject* code) {
  Active none(nullptr);
  HiddenFromDebugger hidden;
  Object cache(PyObject_CallOneArg(interceptor->handler, code));
  if (!cache) return {};
  bool quiet = cache.get() == Py_False;
  if (quiet || cache.get() == Py_None) cache = Object();
  Object weak(cache ? PyWeakref_NewRef(cache.get(), nullptr) : nullptr);
  if (cache && !weak) return {};
  Decisions* decisions = decisions_of(code);  // read again: the handler may have called forget_decisions
  if (!decisions || decisions->never) return {};
  auto& rows = decisions->rows;
  auto outdated = [=](const Decision& row) { return row.id == interceptor->id; };
  rows.erase(std::remove_if(rows.begin(), rows.end(), outdated), rows.end());
  rows.push_back({interceptor->id, std::move(weak), quiet});
  return {std::move(cache), quiet};
}

// How frames of `code` are answered. Null with a Python error if the handler raised one.
Answer find_answer(Interceptor* interceptor, PyObject* code) {
  Decisions* decisions = decisions_of(code);
  if (!decisions || decisions->never) return {};
  for (const Decision& row : decisions->rows) {
    if (row.id != interceptor->id) continue;
    if (!row.cache) return {Object(), row.quiet};
    PyObject* cache = PyWeakref_GET_OBJECT(row.cache.get());
    if (cache != Py_None) return {Object::borrow(cache), false};
  }
  return ask(interceptor, code);
}

// The parameters of a frame that is about to run.
size_t parameter_count(const PyCodeObject* code) {
  return code->co_argcount + code->co_kwonlyargcount + ((code->co_flags & CO_VARARGS) != 0) +
         ((code->co_flags & CO_VARKEYWORDS) != 0);
}

// The cache's answer for a frame, with no interceptor active. Null with `*is_original` set if the frame is to run.
PyObject* answer(PyObject* cache, _PyInterpreterFrame* frame, bool* is_original) {
  Active none(nullptr);
  PyObject* function = function_of(frame);
  if (Py_TYPE(cache) == frame_cache_type) {
    return answer_frame(reinterpret_cast<FrameCache*>(cache), function, frame->localsplus, is_original);
  }
  size_t count = parameter_count(code_of(frame));
  SmallArray<PyObject*, 18> values(count + 2);
  values[0] = cache;
  values[1] = function;
  std::copy(frame->localsplus, frame->localsplus + count, values.data() + 2);
  return PyObject_VectorcallMethod(call_bound, values.data(), count + 2, nullptr);
}

// Runs a frame as usual; `interceptor` (null or None: none) is active for the frames that it starts.
PyObject* run_below(PyObject* interceptor, PyThreadState* thread, _PyInterpreterFrame* frame) {
  bool none = !interceptor || interceptor == Py_None;
  Active active(none ? nullptr : reinterpret_cast<Interceptor*>(interceptor));
  return run_as_usual(thread, frame, 0);
}

// Whether an argument is one that CPython passes on its own account: the frame that a signal, or a debugger, stopped
// (handlers, trace functions), a weak reference to what has just died (its callback), an object that is about to die
// (`function` is its finalizer), an error that nobody can handle (`sys.unraisablehook`).
bool is_passed_by_interpreter(PyObject* argument, PyObject* function) {
  PyTypeObject* type = Py_TYPE(argument);
  if (type == &PyFrame_Type || type == unraisable_type) return true;
  if (PyWeakref_CheckRef(argument)) return PyWeakref_GET_OBJECT(argument) == Py_None;
  return type->tp_finalize && PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) &&
         _PyType_Lookup(type, finalizer_name) == function;
}

// Whether the garbage collector calls a function before and after it collects.
bool is_callback_of_collector(PyObject* function) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(collector_callbacks); ++i) {
    PyObject* callback = PyList_GET_ITEM(collector_callbacks, i);
    if (callback == function || (PyMethod_Check(callback) && PyMethod_GET_FUNCTION(callback) == function)) return true;
  }
  return false;
}

// Whether CPython started the frame at a moment of its own choice, and no instruction of the program did. What runs then
// is no part of the program that is captured, and neither are the frames below it.
bool is_started_by_interpreter(const PyThreadState* thread, const _PyInterpreterFrame* frame) {
  if (thread->tracing > 0) return true;  // audit hooks, trace and profile functions
  const PyCodeObject* code = code_of(frame);
  PyObject* function = function_of(frame);
  if (is_callback_of_collector(function)) return true;
  for (int i = 0; i < code->co_argcount; ++i) {
    if (is_passed_by_interpreter(frame->localsplus[i], function)) return true;
  }
  if (!(code->co_flags & CO_VARARGS)) return false;
  PyObject* rest = frame->localsplus[code->co_argcount + code->co_kwonlyargcount];
  Py_ssize_t count = rest && PyTuple_CheckExact(rest) ? std::min<Py_ssize_t>(PyTuple_GET_SIZE(rest), 3) : 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (is_passed_by_interpreter(PyTuple_GET_ITEM(rest, i), function)) return true;
  }
  return false;
}

// Runs a frame while no evaluation function is installed, whoever else wants one: CPython calls Python code without
// taking C stack only then. Other threads run natively meanwhile.
PyObject* run_without_hooks(PyThreadState* thread, _PyInterpreterFrame* frame, int throwing) {
  Active none(nullptr);
  PyInterpreterState* interpreter = thread->interp;
  _PyFrameEvalFunction installed = _PyInterpreterState_GetEvalFrameFunc(interpreter);
  _PyInterpreterState_SetEvalFrameFunc(interpreter, _PyEval_EvalFrameDefault);
  PyObject* result = _PyEval_EvalFrameDefault(thread, frame, throwing);
  _PyInterpreterState_SetEvalFrameFunc(interpreter, installed);
  if (!active_threads) uninstall(interpreter);
  return result;
}

PyObject* evaluate(PyThreadState* thread, _PyInterpreterFrame* frame, int throwing) {
  if (has_less_stack_than(4)) return run_without_hooks(thread, frame, throwing);
  Interceptor* interceptor = current.active;
  PyCodeObject* code = code_of(frame);
  if (!interceptor || throwing || current.passed_on == frame || (code->co_flags & not_plain) ||
      (code->co_flags & plain_function) != plain_function) {
    return run_as_usual(thread, frame, throwing);
  }
  PyObject** handed_over = std::exchange(current.handed_over, nullptr);
  if (std::exchange(current.spared, nullptr) == code) {
    if (handed_over) Py_CLEAR(*handed_over);
    return run_as_usual(thread, frame, throwing);
  }
  if (is_started_by_interpreter(thread, frame)) return run_below(nullptr, thread, frame);
  Answer decided = find_answer(interceptor, reinterpret_cast<PyObject*>(code));
  if (decided.cache) {
    bool is_original = false;
    PyObject* result = answer(decided.cache.get(), frame, &is_original);
    if (!is_original) {
      end_unrun(thread, frame);
      return result;
    }
    return run_below(reinterpret_cast<FrameCache*>(decided.cache.get())->interceptor, thread, frame);
  }
  if (PyErr_Occurred()) {
    end_unrun(thread, frame);
    return nullptr;
  }
  if (decided.quiet) return run_below(nullptr, thread, frame);
  return run_as_usual(thread, frame, throwing);
}

// Python interface ----------------------------------------------------------------------------------

Interceptor* as_interceptor(PyObject* self) { return reinterpret_cast<Interceptor*>(self); }

bool has_function(Py_ssize_t count) {
  if (count < 1) PyErr_SetString(PyExc_TypeError, "expected a callable and its arguments");
  return count >= 1;
}

PyObject* vectorcall(PyObject* self, PyObject* const* args, size_t count, PyObject* keywords) {
  Py_ssize_t passed = PyVectorcall_NARGS(count);
  if (!has_function(passed)) return nullptr;
  Active active(as_interceptor(self));
  return PyObject_Vectorcall(args[0], args + 1, (passed - 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, keywords);
}

PyObject* run_original(PyObject* self, PyObject* const* args, Py_ssize_t passed, PyObject* keywords) {
  if (!has_function(passed)) return nullptr;
  return call_original(self, args[0], args + 1, passed - 1, keywords);
}

PyObject* exchange_interceptor(PyObject*, PyObject* object) {
  if (object != Py_None && !is_interceptor(object)) {
    return PyErr_Format(PyExc_TypeError, "expected an Interceptor or None, not %R", object);
  }
  Interceptor* before = exchange(object == Py_None ? nullptr : as_interceptor(Py_NewRef(object)));
  return before ? reinterpret_cast<PyObject*>(before) : Py_NewRef(Py_None);
}

PyObject* never_intercept(PyObject*, PyObject* code) {
  if (!PyCode_Check(code)) return PyErr_Format(PyExc_TypeError, "expected a code object, not %R", code);
  Decisions* decisions = decisions_of(code);
  if (!decisions) return nullptr;
  decisions->never = true;
  std::vector<Decision> dropped;
  dropped.swap(decisions->rows);
  Py_RETURN_NONE;
}

PyObject* forget_decisions(PyObject*, PyObject*) {
  ++generation;
  Py_RETURN_NONE;
}

PyObject* create(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"handler", nullptr};
  PyObject* handler;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:Interceptor", const_cast<char**>(names), &handler)) {
    return nullptr;
  }
  if (!PyCallable_Check(handler)) return PyErr_Format(PyExc_TypeError, "not callable: %R", handler);
  auto* interceptor = as_interceptor(type->tp_alloc(type, 0));
  if (!interceptor) return nullptr;
  interceptor->vectorcall = guarded<vectorcall>;
  interceptor->handler = Py_NewRef(handler);
  interceptor->id = next_id++;
  return reinterpret_cast<PyObject*>(interceptor);
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_interceptor(self)->handler);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(as_interceptor(self)->handler);
  return 0;
}

void deallocate(PyObject* self) {
  PyObject_GC_UnTrack(self);
  clear(self);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"run_original", method<run_original>(),
     METH_FASTCALL | METH_KEYWORDS,
     "run_original(function, *args, **kwargs): call it with every frame intercepted but its own"},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef members[] = {
    {"handler", T_OBJECT, offsetof(Interceptor, handler), READONLY, "called once for each code object"},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Interceptor, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

const char documentation[] =
    "Interceptor(handler)\n--\n\n"
    "`interceptor(function, *args, **kwargs)` makes the call and intercepts every frame that starts meanwhile, the\n"
    "function's own included. `handler(code)` is called once for each code object. If it returns None, frames of the\n"
    "code run as usual; if False, so do all frames below them; if a cache, `cache.call_bound(function, *values)`, with\n"
    "the parameters' values in co_varnames order, is the result of the frame.\n"
    "Nothing is intercepted while a handler or a cache runs. Caches are held weakly: when one is gone, the handler\n"
    "is called again.";

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(documentation)},
    {Py_tp_new, slot<create>()},
    {Py_tp_traverse, slot<traverse>()},
    {Py_tp_clear, slot<clear>()},
    {Py_tp_dealloc, slot<deallocate>()},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, nullptr},
};

PyType_Spec specification = {"tracer._native.Interceptor", sizeof(Interceptor), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, slots};

PyMethodDef functions[] = {
    {"exchange_interceptor", method<exchange_interceptor>(), METH_O,
     "exchange_interceptor(new) -> old: the one active in this thread, or None"},
    {"never_intercept", method<never_intercept>(), METH_O, "never_intercept(code): its frames always run as usual"},
    {"forget_decisions", method<forget_decisions>(), METH_NOARGS, "forget_decisions(): call the handlers again for every code object"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

NotIntercepted::NotIntercepted() : before_(current.active ? exchange(nullptr) : nullptr) {}

NotIntercepted::~NotIntercepted() {
  if (before_) Py_XDECREF(exchange(static_cast<Interceptor*>(before_)));
}

bool is_compiled_by_torch() {
  _PyFrameEvalFunction installed = _PyInterpreterState_GetEvalFrameFunc(PyThreadState_Get()->interp);
  if (installed == _PyEval_EvalFrameDefault || installed == our_evaluation) return false;
  Object callback(PyObject_CallNoArgs(torch_callback));
  if (!callback) PyErr_Clear();
  return callback && callback.get() != Py_None;
}

bool is_interceptor(PyObject* object) { return Py_IS_TYPE(object, interceptor_type); }

PyObject* call_original(PyObject* interceptor, PyObject* function, PyObject* const* args, size_t count,
                        PyObject* keywords, PyObject** handed_over) {
  bool none = !interceptor || interceptor == Py_None;
  Active active(none ? nullptr : as_interceptor(interceptor));
  PyCodeObject* spared = std::exchange(current.spared, nullptr);
  PyObject** before = std::exchange(current.handed_over, nullptr);
  if (!none && PyFunction_Check(function)) {
    current.spared = reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(function));
    current.handed_over = handed_over;
  }
  PyObject* result = PyObject_Vectorcall(function, args, PyVectorcall_NARGS(count), keywords);
  current.spared = spared;
  current.handed_over = before;
  return result;
}

bool add_interceptor_type(PyObject* module) {
  interceptor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&specification));
  if (!interceptor_type || PyModule_AddType(module, interceptor_type) < 0) return false;
  call_bound = PyUnicode_InternFromString("call_bound");
  finalizer_name = PyUnicode_InternFromString("__del__");
  auto* unraisable = reinterpret_cast<PyTypeObject*>(PySys_GetObject("UnraisableHookArgs"));  // borrowed
  unraisable_type = reinterpret_cast<PyTypeObject*>(Py_XNewRef(unraisable));
  Object collector(PyImport_ImportModule("gc"));
  collector_callbacks = collector ? PyObject_GetAttrString(collector.get(), "callbacks") : nullptr;
  Object hook(PyImport_ImportModule("torch._C._dynamo.eval_frame"));
  torch_callback = hook ? PyObject_GetAttrString(hook.get(), "get_eval_frame_callback") : nullptr;
  if (!call_bound || !finalizer_name || !collector_callbacks || !torch_callback) return false;
  if (extra_index < 0) extra_index = _PyEval_RequestCodeExtraIndex(guarded<drop_decisions>);
  if (extra_index < 0) {
    PyErr_SetString(PyExc_RuntimeError, "no slot for extra data in code objects is left");
    return false;
  }
  return PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace bytegraph
