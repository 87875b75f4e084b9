#include "frame_cache.h"

#include <ATen/record_function.h>
#include <structmember.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "boundary.h"
#include "caller_stack.h"
#include "debugger.h"
#include "interceptor.h"
#include "small_array.h"
#include "stack.h"
#include "step.h"

namespace bytegraph {

PyTypeObject* frame_cache_type = nullptr;

namespace {

Py_ssize_t all_hits = 0;  // of all caches, those that are gone included

bool runs_originals = false;  // whatever is captured
PyObject *retry = nullptr, *run_original = nullptr;  // what `on_miss` may return instead of a result

// Whether this thread is below a frame that runs as usual because its cache is full. A frame that is intercepted there
// may use the entries that it has, and add to them, but does not start to be captured: each would go to its own limit.
thread_local bool beyond_limit = false;

class BeyondLimit {
 public:
  explicit BeyondLimit(bool value) : before_(std::exchange(beyond_limit, value)) {}
  ~BeyondLimit() { beyond_limit = before_; }
  BeyondLimit(const BeyondLimit&) = delete;
  BeyondLimit& operator=(const BeyondLimit&) = delete;

 private:
  bool before_;
};

FrameCache* as_cache(PyObject* self) { return reinterpret_cast<FrameCache*>(self); }

// One call on its way through the cache.
struct Dispatch {
  FrameCache* cache;
  PyObject* function;
  PyObject* const* locals;
  bool is_bound;  // `locals` is all there is; otherwise the caller's arguments follow, as in the vectorcall protocol
  PyObject* const* args = nullptr;
  Py_ssize_t count = 0;
  PyObject* keywords = nullptr;
  PyObject** handed_over = nullptr;  // what owns `locals`, given up as soon as the original's frame has its references
  bool* is_original = nullptr;       // set in place of running the original function, if its caller does that
  PyObject* callable = nullptr;      // what was called with `args`

  size_t passed() const { return count + (keywords ? PyTuple_GET_SIZE(keywords) : 0); }

  bool is_on_stack() const { return callable && are_on_stack(callable, args, passed()); }

  // Whether the function takes over what it is called with, so that the end of an argument shows that it drops.
  bool takes_over() const { return is_bound || (is_on_stack() && end_visibly_with_call(args, passed())); }

  Object locals_tuple() const {
    size_t size = cache->signature->size();
    Object values(PyTuple_New(size));
    for (size_t i = 0; values && i < size; ++i) PyTuple_SET_ITEM(values.get(), i, Py_NewRef(locals[i]));
    return values;
  }

  PyObject* run_original() const {
    if (is_original) {
      *is_original = true;
      return nullptr;
    }
    if (!is_bound && takes_over()) {
      Object taken = take_from_stack(args, passed());
      if (!taken) return nullptr;
      PyObject* const* items = &PyTuple_GET_ITEM(taken.get(), 0);
      return call_original(cache->interceptor, function, items, count, keywords, taken.address());
    }
    if (!is_bound) return call_original(cache->interceptor, function, args, count, keywords);
    std::vector<PyObject*> unbound;
    Object names;
    if (!cache->signature->unbind(locals, unbound, names)) return nullptr;
    size_t positional = unbound.size() - PyTuple_GET_SIZE(names.get());
    return call_original(cache->interceptor, function, unbound.data(), positional, names.get(), handed_over);
  }
};

bool check_strictly(const Dispatch& call, Entry* entry, Verdict verdict) {
  PyObject* strict = call.cache->strict;
  if (strict == Py_None) return true;
  Object values = call.locals_tuple();
  PyObject* holds = verdict == Verdict::holds ? Py_True : Py_False;
  HiddenFromDebugger hidden;
  Object answer(values ? PyObject_CallFunctionObjArgs(strict, entry, call.function, values.get(), holds, nullptr)
                       : nullptr);
  return static_cast<bool>(answer);
}

void move_to_front(FrameCache* cache, size_t place, Entry* entry) {
  auto& entries = *cache->entries;
  if (place == 0 || place >= entries.size() || entries[place] != entry) return;
  std::rotate(entries.begin(), entries.begin() + place, entries.begin() + place + 1);
}

// What a profiler shows of a program that runs: the place in the user's code.
std::string label_of(Entry* entry) {
  Object place(PyObject_GetAttrString(reinterpret_cast<PyObject*>(entry), "place"));
  const char* text = place && PyUnicode_Check(place.get()) ? PyUnicode_AsUTF8(place.get()) : nullptr;
  if (!text) PyErr_Clear();
  return text ? text : "a captured program";
}

PyObject* run_program(Entry* entry, PyObject** arguments, size_t count, std::vector<Object>& owned) {
  if (!PyFunction_Check(entry->program)) {  // a Python function takes its own references at once
    for (size_t i = 0; i < count; ++i) owned.push_back(Object::borrow(arguments[i]));
  }
  NotIntercepted program;
  std::optional<at::RecordFunction> range;
  if (auto observers = at::getStepCallbacksUnlessEmpty(at::RecordScope::USER_SCOPE)) {  // as the dispatcher asks
    range.emplace(std::move(*observers)).before(label_of(entry));
  }
  return PyObject_Vectorcall(entry->program, arguments, count | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
}

// The result of the entry's program if its guards hold; otherwise null, and `*verdict` says why. `hit` is 1, or 0 for
// the call that made the entry.
PyObject* try_entry(const Dispatch& call, size_t place, Verdict* verdict, Py_ssize_t hit) {
  FrameCache* cache = call.cache;
  Entry* entry = (*cache->entries)[place];
  if (entry->arguments_are_held && call.takes_over()) {
    *verdict = Verdict::fails;
    return nullptr;
  }
  Object alive = Object::borrow(reinterpret_cast<PyObject*>(entry));
  std::vector<Object> owned;
  size_t count = entry->native->input_count();
  SmallArray<PyObject*, 32> arguments(count + 1);
  *verdict = entry->native->run({call.function, call.locals}, arguments.data() + 1, owned);
  if (*verdict != Verdict::error && !check_strictly(call, entry, *verdict)) *verdict = Verdict::error;
  if (*verdict != Verdict::holds) return nullptr;
  move_to_front(cache, place, entry);
  entry->hits += hit;
  cache->hits += hit;
  all_hits += hit;
  if (entry->program == Py_None) return call.run_original();
  return run_program(entry, arguments.data() + 1, count, owned);
}

// The same for all entries; `*verdict` is `fails` if none fits.
PyObject* try_entries(const Dispatch& call, Verdict* verdict, Py_ssize_t hit) {
  *verdict = Verdict::fails;
  for (size_t place = 0; place < call.cache->entries->size(); ++place) {
    PyObject* result = try_entry(call, place, verdict, hit);
    if (*verdict != Verdict::fails) return result;
  }
  return nullptr;
}

void drop_dead_entries(FrameCache* cache) {
  auto& entries = *cache->entries;
  std::vector<Entry*> dead;
  dead.reserve(entries.size());  // nothing may throw while entries are moved
  auto is_dead = [&dead, cache](Entry* entry) {
    bool gone = entry->native->is_dead();
    if (gone) dead.push_back(entry);
    if (gone && !entry->hits) ++cache->wasted;
    return gone;
  };
  entries.erase(std::remove_if(entries.begin(), entries.end(), is_dead), entries.end());
  for (Entry* entry : dead) Py_DECREF(entry);
}

// How many entries may die unused for each that the cache can hold. Beyond that, captures cost more than they save.
constexpr Py_ssize_t waste_allowed = 4;

bool is_full(const FrameCache* cache) {
  return static_cast<Py_ssize_t>(cache->entries->size()) >= cache->recompile_limit ||
         cache->wasted > waste_allowed * cache->recompile_limit;
}

// Tells `on_limit`, once, that the cache is full. False with a Python error.
bool report_limit(const Dispatch& call) {
  FrameCache* cache = call.cache;
  if (std::exchange(cache->limit_reported, true) || cache->on_limit == Py_None) return true;
  Object values = call.locals_tuple();
  HiddenFromDebugger hidden;
  Object answer(values ? PyObject_CallFunctionObjArgs(cache->on_limit, cache, call.function, values.get(), nullptr)
                       : nullptr);
  return static_cast<bool>(answer);
}

PyObject* miss(const Dispatch& call) {
  FrameCache* cache = call.cache;
  ++cache->misses;
  drop_dead_entries(cache);
  bool starts = !(beyond_limit && call.is_bound && cache->entries->empty());
  bool full = cache->enabled && starts && is_full(cache);
  if (!cache->enabled || !starts || full) {
    if (full && !report_limit(call)) return nullptr;
    ++cache->originals;
    BeyondLimit beyond(beyond_limit || full);
    return call.run_original();
  }
  BeyondLimit beyond(beyond_limit && call.is_bound);  // a function that the user captured is captured anywhere
  cache->owns_arguments = call.takes_over();
  Object values = call.locals_tuple();
  if (!values) return nullptr;
  Object answer;
  {
    HiddenFromDebugger hidden;
    answer = Object(PyObject_CallFunctionObjArgs(cache->on_miss, cache, call.function, values.get(), nullptr));
  }
  values = Object();  // nothing but the program holds them while it runs
  if (!answer) return nullptr;
  if (answer.get() == retry) {
    Verdict verdict;
    PyObject* result = try_entries(call, &verdict, 0);
    if (verdict != Verdict::fails) return result;
  } else if (answer.get() != run_original) {
    return answer.release();
  }
  ++cache->originals;
  return call.run_original();
}

PyObject* dispatch_bound(const Dispatch& call) {
  Object alive = Object::borrow(reinterpret_cast<PyObject*>(call.cache));
  if (runs_originals || has_breakpoints()) {
    ++call.cache->originals;
    return call.run_original();
  }
  Verdict verdict;
  PyObject* result = try_entries(call, &verdict, 1);
  return verdict == Verdict::fails ? miss(call) : result;
}

// `handed_over` as in Dispatch.
PyObject* call_bound_once(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject** handed_over) {
  FrameCache* cache = as_cache(self);
  if (count != static_cast<Py_ssize_t>(cache->signature->size()) + 1) {
    return PyErr_Format(PyExc_TypeError, "call_bound takes the function and its %zu parameters' values",
                        cache->signature->size());
  }
  return dispatch_bound(
      {.cache = cache, .function = args[0], .locals = args + 1, .is_bound = true, .handed_over = handed_over});
}

// Empties a tuple that nobody else holds from its second item on; a tuple by itself would begin with the last.
void release_in_order(PyObject** tuple) {
  if (!*tuple || Py_REFCNT(*tuple) != 1) return;
  PyObject_GC_UnTrack(*tuple);
  for (Py_ssize_t i = 1; *tuple && i < PyTuple_GET_SIZE(*tuple); ++i) {
    PyObject* item = PyTuple_GET_ITEM(*tuple, i);
    PyTuple_SET_ITEM(*tuple, i, nullptr);
    Py_XDECREF(item);
  }
}

// The result of a call whose program may have returned a step: after a graph break these are the native instruction and
// then the continuation. They run here one after the other, so that a loop that breaks in every iteration needs no more
// stack than the loop itself. A step owns what the program handed over; frames of the original function take it from
// there, so that an object dies when the function drops it. What a residual program was handed over dies when it has
// ended, in the order of the variables, as at the end of a frame.
PyObject* finish(PyObject* result) {
  while (result && Py_TYPE(result) == step_type) {
    Object step(result);
    PyObject *callable = reinterpret_cast<Step*>(result)->callable, **args = &reinterpret_cast<Step*>(result)->args;
    PyObject* const* items = &PyTuple_GET_ITEM(*args, 0);
    Py_ssize_t count = PyTuple_GET_SIZE(*args);
    if (Py_TYPE(callable) == frame_cache_type) {
      result = call_bound_once(callable, items, count, args);
      release_in_order(args);
    } else if (is_interceptor(callable) && count > 0) {
      result = call_original(callable, items[0], items + 1, count - 1, nullptr, args);
    } else {
      result = PyObject_Call(callable, *args, nullptr);
    }
  }
  return result;
}

// Python interface ----------------------------------------------------------------------------------

PyObject* vectorcall(PyObject* self, PyObject* const* args, size_t count, PyObject* keywords) {
  Py_ssize_t passed = PyVectorcall_NARGS(count);
  if (passed < 1) {
    PyErr_SetString(PyExc_TypeError, "a FrameCache is called with the function and its arguments");
    return nullptr;
  }
  return dispatch(as_cache(self), args[0], args + 1, passed - 1, keywords);
}

PyObject* call_bound(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  return finish(call_bound_once(self, args, count, nullptr));
}

void put_first(FrameCache* cache, PyObject* entry) {
  cache->entries->reserve(cache->entries->size() + 1);  // may throw: before there is a reference to lose
  cache->entries->insert(cache->entries->begin(), reinterpret_cast<Entry*>(Py_NewRef(entry)));
}

PyObject* add(PyObject* self, PyObject* object) {
  if (!PyObject_TypeCheck(object, entry_type)) return PyErr_Format(PyExc_TypeError, "not an Entry: %R", object);
  FrameCache* cache = as_cache(self);
  auto* entry = reinterpret_cast<Entry*>(object);
  if (entry->native) return PyErr_Format(PyExc_ValueError, "an entry belongs to one cache: %R", object);
  if (!prepare_entry(entry, cache->signature->names())) return nullptr;
  put_first(cache, object);
  Py_RETURN_NONE;
}

// The entry that `args` begin with, before the function and its parameters' values; null with a Python error.
Entry* entry_of_call(FrameCache* cache, PyObject* const* args, Py_ssize_t count, const char* name) {
  if (count == static_cast<Py_ssize_t>(cache->signature->size()) + 2 && PyObject_TypeCheck(args[0], entry_type)) {
    return reinterpret_cast<Entry*>(args[0]);
  }
  PyErr_Format(PyExc_TypeError, "%s takes an entry, the function and its %zu parameters' values", name,
               cache->signature->size());
  return nullptr;
}

PyObject* inputs_if_fits(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  FrameCache* cache = as_cache(self);
  Entry* entry = entry_of_call(cache, args, count, "inputs_if_fits");
  if (!entry) return nullptr;
  if (entry->native) return PyErr_Format(PyExc_ValueError, "an entry belongs to one cache: %R", args[0]);
  if (cache->owns_arguments && entry->arguments_are_held) Py_RETURN_NONE;
  if (!prepare_entry(entry, cache->signature->names())) return nullptr;
  return inputs_of(entry, {args[1], args + 2}).release();
}

PyObject* fits(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Entry* entry = entry_of_call(as_cache(self), args, count, "fits");
  if (!entry) return nullptr;
  if (!entry->native) return PyErr_Format(PyExc_ValueError, "an entry of no cache: %R", args[0]);
  Object values = inputs_of(entry, {args[1], args + 2});
  return values ? PyBool_FromLong(values.get() != Py_None) : nullptr;
}

PyObject* adopt(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  if (count != 2 || !PyObject_TypeCheck(args[0], entry_type) || !PyObject_TypeCheck(args[1], entry_type)) {
    PyErr_SetString(PyExc_TypeError, "adopt takes two entries");
    return nullptr;
  }
  auto *entry = reinterpret_cast<Entry*>(args[0]), *checked = reinterpret_cast<Entry*>(args[1]);
  bool is_same = entry->guards == checked->guards && entry->inputs == checked->inputs;
  if (!is_same || !checked->native || (entry->native && entry != checked)) {
    PyErr_SetString(PyExc_ValueError, "the guards that hold are those of another entry");
    return nullptr;
  }
  if (entry != checked) std::swap(entry->native, checked->native);
  put_first(as_cache(self), args[0]);
  Py_RETURN_NONE;
}

PyObject* remove_entry(PyObject* self, PyObject* object) {
  auto& entries = *as_cache(self)->entries;
  auto place = std::find(entries.begin(), entries.end(), reinterpret_cast<Entry*>(object));
  if (place == entries.end()) Py_RETURN_FALSE;
  entries.erase(place);
  Py_DECREF(object);
  Py_RETURN_TRUE;
}

PyObject* clear_entries(PyObject* self, PyObject*) {
  FrameCache* cache = as_cache(self);
  cache->limit_reported = false;
  cache->wasted = 0;
  std::vector<Entry*> dropped;
  dropped.swap(*cache->entries);
  for (Entry* entry : dropped) Py_DECREF(entry);
  Py_RETURN_NONE;
}

PyObject* list_entries(PyObject* self, void*) {
  auto& entries = *as_cache(self)->entries;
  PyObject* list = PyList_New(entries.size());
  for (size_t i = 0; list && i < entries.size(); ++i) {
    PyList_SET_ITEM(list, i, Py_NewRef(reinterpret_cast<PyObject*>(entries[i])));
  }
  return list;
}

PyObject* get_interceptor(PyObject* self, void*) { return Py_NewRef(as_cache(self)->interceptor); }

int set_interceptor(PyObject* self, PyObject* value, void*) {
  if (!value || (value != Py_None && !is_interceptor(value))) {
    PyErr_SetString(PyExc_TypeError, "expected an Interceptor or None");
    return -1;
  }
  Py_SETREF(as_cache(self)->interceptor, Py_NewRef(value));
  return 0;
}

PyObject* create(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"code", "on_miss", "recompile_limit", "strict", "on_limit", nullptr};
  PyObject *code, *on_miss, *strict = Py_None, *on_limit = Py_None;
  Py_ssize_t limit = 8;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|n$OO:FrameCache", const_cast<char**>(names), &code, &on_miss,
                                   &limit, &strict, &on_limit)) {
    return nullptr;
  }
  auto signature = std::make_unique<Signature>();
  auto entries = std::make_unique<std::vector<Entry*>>();
  if (!signature->read(code)) return nullptr;
  auto* cache = reinterpret_cast<FrameCache*>(type->tp_alloc(type, 0));
  if (!cache) return nullptr;
  cache->vectorcall = guarded<vectorcall>;
  cache->code = Py_NewRef(code);
  cache->on_miss = Py_NewRef(on_miss);
  cache->strict = Py_NewRef(strict);
  cache->on_limit = Py_NewRef(on_limit);
  cache->interceptor = Py_NewRef(Py_None);
  cache->recompile_limit = limit;
  cache->enabled = 1;
  cache->signature = signature.release();
  cache->entries = entries.release();
  return reinterpret_cast<PyObject*>(cache);
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  FrameCache* cache = as_cache(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(cache->code);
  Py_VISIT(cache->on_miss);
  Py_VISIT(cache->on_limit);
  Py_VISIT(cache->strict);
  Py_VISIT(cache->interceptor);
  if (cache->entries) {
    for (Entry* entry : *cache->entries) Py_VISIT(entry);
  }
  return 0;
}

// Leaves the cache usable for a call that is still running: it is empty and disabled.
int clear(PyObject* self) {
  FrameCache* cache = as_cache(self);
  if (cache->entries) Py_XDECREF(clear_entries(self, nullptr));
  cache->enabled = 0;
  Py_XSETREF(cache->on_miss, Py_NewRef(Py_None));
  Py_XSETREF(cache->on_limit, Py_NewRef(Py_None));
  Py_XSETREF(cache->strict, Py_NewRef(Py_None));
  Py_XSETREF(cache->interceptor, Py_NewRef(Py_None));
  return 0;
}

void deallocate(PyObject* self) {
  PyObject_GC_UnTrack(self);
  FrameCache* cache = as_cache(self);
  if (cache->weak_references) PyObject_ClearWeakRefs(self);
  clear(self);
  Py_CLEAR(cache->code);
  Py_CLEAR(cache->on_miss);
  Py_CLEAR(cache->on_limit);
  Py_CLEAR(cache->strict);
  Py_CLEAR(cache->interceptor);
  delete cache->signature;
  delete cache->entries;
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"add", method<add>(), METH_O, "add(entry): compile its guards; it is tried first from now on"},
    {"fits", method<fits>(), METH_FASTCALL, "fits(entry, function, *values): whether its guards hold for a call"},
    {"inputs_if_fits", method<inputs_if_fits>(), METH_FASTCALL,
     "inputs_if_fits(entry, function, *values): compile its guards; the values of its inputs if they hold, else None"},
    {"adopt", method<adopt>(), METH_FASTCALL,
     "adopt(entry, checked): `add` an entry with the guards that `inputs_if_fits` has compiled for it or for another"},
    {"remove", method<remove_entry>(), METH_O, "remove(entry) -> whether the cache had it"},
    {"clear", method<clear_entries>(), METH_NOARGS, "drop all entries, and forget that the limit was reached"},
    {"call_bound", method<call_bound>(), METH_FASTCALL,
     "call_bound(function, *values): a call whose parameters, in co_varnames order, have these values"},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef members[] = {
    {"code", T_OBJECT, offsetof(FrameCache, code), READONLY, "the code object"},
    {"on_miss", T_OBJECT, offsetof(FrameCache, on_miss), 0, nullptr},
    {"on_limit", T_OBJECT, offsetof(FrameCache, on_limit), 0, nullptr},
    {"strict", T_OBJECT, offsetof(FrameCache, strict), 0, nullptr},
    {"recompile_limit", T_PYSSIZET, offsetof(FrameCache, recompile_limit), 0, nullptr},
    {"enabled", T_BOOL, offsetof(FrameCache, enabled), 0, "if false, calls that no entry fits run the original function"},
    {"owns_arguments", T_BOOL, offsetof(FrameCache, owns_arguments), READONLY,
     "whether the caller of the call that missed last has let go of its arguments"},
    {"hits", T_PYSSIZET, offsetof(FrameCache, hits), READONLY, nullptr},
    {"misses", T_PYSSIZET, offsetof(FrameCache, misses), READONLY, nullptr},
    {"originals", T_PYSSIZET, offsetof(FrameCache, originals), READONLY, "misses that ran the original function"},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(FrameCache, vectorcall), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(FrameCache, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyGetSetDef properties[] = {
    {"entries", guarded<list_entries>, nullptr, "a new list of the entries, most recently hit first", nullptr},
    {"interceptor", guarded<get_interceptor>, guarded<set_interceptor>, "active while an original function runs, or None", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

const char documentation[] =
    "FrameCache(code, on_miss, recompile_limit=8, *, strict=None, on_limit=None)\n--\n\n"
    "Entries of one code object. `cache(function, *args, **kwargs)` runs the first entry whose guards hold,\n"
    "else answers with `on_miss(cache, function, values)`, which may be RETRY or RUN_ORIGINAL.\n"
    "`strict(entry, function, values, verdict)` is called after every verdict, `on_limit(cache, function,\n"
    "values)` once when a call misses and the cache is full. `values` are the parameters' in co_varnames order.";

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(documentation)},
    {Py_tp_new, slot<create>()},
    {Py_tp_traverse, slot<traverse>()},
    {Py_tp_clear, slot<clear>()},
    {Py_tp_dealloc, slot<deallocate>()},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, properties},
    {0, nullptr},
};

PyType_Spec specification = {"tracer._native.FrameCache", sizeof(FrameCache), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, slots};

PyObject* sentinel(PyObject* module, const char* name) {
  PyObject* object = PyObject_CallFunction(reinterpret_cast<PyObject*>(&PyBaseObject_Type), nullptr);
  return object && PyModule_AddObjectRef(module, name, object) == 0 ? object : nullptr;
}

PyObject* run_originals(PyObject*, PyObject* wanted) {
  int is_wanted = PyObject_IsTrue(wanted);
  if (is_wanted < 0) return nullptr;
  return PyBool_FromLong(std::exchange(runs_originals, is_wanted != 0));
}

PyObject* hit_count(PyObject*, PyObject*) { return PyLong_FromSsize_t(all_hits); }

PyMethodDef functions[] = {
    {"hit_count", method<hit_count>(), METH_NOARGS,
     "hit_count(): hits of all caches of the process, those that are gone included"},
    {"run_originals", method<run_originals>(), METH_O,
     "run_originals(wanted): whether every call of every cache runs the original from now on; gives what held before"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyObject* dispatch(FrameCache* cache, PyObject* function, PyObject* const* args, size_t count, PyObject* keywords,
                   PyObject* callable) {
  if (has_less_stack_than(16)) {
    PyErr_SetString(PyExc_RecursionError, "maximum recursion depth exceeded while calling a captured function");
    return nullptr;
  }
  if (is_compiled_by_torch()) return PyObject_Vectorcall(function, args, count, keywords);
  PyObject* result;
  {
    std::vector<Object> owned;
    SmallArray<PyObject*, 32> locals(cache->signature->size());
    Py_ssize_t passed = PyVectorcall_NARGS(count);
    Fit fit = cache->signature->bind(function, args, passed, keywords, locals.data(), owned);
    if (fit == Fit::error) return nullptr;
    Dispatch call{.cache = cache, .function = function, .locals = locals.data(), .is_bound = false, .args = args,
                  .count = passed, .keywords = keywords, .callable = callable};
    if (fit == Fit::no) return call.run_original();
    result = dispatch_bound(call);
    bool goes_on = result && Py_TYPE(result) == step_type;
    if (goes_on && call.is_on_stack() && !take_from_stack(args, call.passed())) Py_CLEAR(result);
  }
  return finish(result);
}

PyObject* answer_frame(FrameCache* cache, PyObject* function, PyObject** locals, bool* is_original) {
  PyObject* result = dispatch_bound(
      {.cache = cache, .function = function, .locals = locals, .is_bound = true, .is_original = is_original});
  if (result && Py_TYPE(result) == step_type) {
    for (size_t i = 0; i < cache->signature->size(); ++i) Py_CLEAR(locals[i]);
  }
  return finish(result);
}

bool add_frame_cache_type(PyObject* module) {
  frame_cache_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&specification));
  if (!frame_cache_type || PyModule_AddType(module, frame_cache_type) < 0) return false;
  if (PyModule_AddFunctions(module, functions) < 0) return false;
  retry = sentinel(module, "RETRY");
  run_original = retry ? sentinel(module, "RUN_ORIGINAL") : nullptr;
  return run_original;
}

}  // namespace bytegraph
