// The layout of CPython's interpreter frames, the one thing about them that differs between its versions. Only the
// interceptor includes this file, what takes arguments from a frame's stack, and what asks for the states of generators,
// whose names come with it.
#pragma once

#include <Python.h>

#define Py_BUILD_CORE
#include <internal/pycore_frame.h>
#undef Py_BUILD_CORE

namespace bytegraph {

#if PY_VERSION_HEX < 0x030C0000

inline PyCodeObject* code_of(const _PyInterpreterFrame* frame) { return frame->f_code; }
inline PyObject* function_of(const _PyInterpreterFrame* frame) { return reinterpret_cast<PyObject*>(frame->f_func); }
inline _PyInterpreterFrame* current_frame(PyThreadState* thread) { return thread->cframe->current_frame; }

// Whether a callable stands on its frame's stack, which begins at `bottom`, right below the arguments of its call.
inline bool stands_below(PyObject* callable, PyObject* const*, PyObject* const* args) { return args[-1] == callable; }

// Whoever started a frame ends it, also one that an evaluation function answered without running it.
inline void end_unrun(PyThreadState*, _PyInterpreterFrame*) {}

#elif PY_VERSION_HEX < 0x030D0000

inline PyCodeObject* code_of(const _PyInterpreterFrame* frame) { return frame->f_code; }
inline PyObject* function_of(const _PyInterpreterFrame* frame) { return frame->f_funcobj; }
inline _PyInterpreterFrame* current_frame(PyThreadState* thread) { return thread->cframe->current_frame; }

inline bool stands_below(PyObject* callable, PyObject* const*, PyObject* const* args) { return args[-1] == callable; }

// Gives back the memory of a frame, the uppermost of the thread's; as CPython's `_PyThreadState_PopFrame`, which 3.12
// does not export.
inline void give_back(PyThreadState* thread, _PyInterpreterFrame* frame) {
  auto** base = reinterpret_cast<PyObject**>(frame);
  _PyStackChunk* chunk = thread->datastack_chunk;
  if (base != &chunk->data[0]) {
    thread->datastack_top = base;
    return;
  }
  _PyStackChunk* below = chunk->previous;
  thread->datastack_top = &below->data[below->top];
  thread->datastack_chunk = below;
  PyObjectArenaAllocator allocator;
  PyObject_GetArenaAllocator(&allocator);
  allocator.free(allocator.ctx, chunk, chunk->size);
  thread->datastack_limit = reinterpret_cast<PyObject**>(reinterpret_cast<char*>(below) + below->size);
}

// Ends a frame that never ran, which is what the evaluation function does from 3.12 on: nothing refers to it yet.
inline void end_unrun(PyThreadState* thread, _PyInterpreterFrame* frame) {
  PyCodeObject* code = frame->f_code;
  for (int i = 0; i < frame->stacktop; ++i) Py_XDECREF(frame->localsplus[i]);
  Py_XDECREF(frame->f_locals);
  Py_DECREF(frame->f_funcobj);
  Py_DECREF(code);
  give_back(thread, frame);
}

#else

inline PyCodeObject* code_of(const _PyInterpreterFrame* frame) {
  return reinterpret_cast<PyCodeObject*>(frame->f_executable);
}
inline PyObject* function_of(const _PyInterpreterFrame* frame) { return frame->f_funcobj; }
inline _PyInterpreterFrame* current_frame(PyThreadState* thread) { return thread->current_frame; }

// Where a call has no `self`, nothing is between the two.
inline bool stands_below(PyObject* callable, PyObject* const* bottom, PyObject* const* args) {
  return args[-1] == callable || (!args[-1] && args - 1 > bottom && args[-2] == callable);
}

extern "C" void _PyEval_FrameClearAndPop(PyThreadState* thread, _PyInterpreterFrame* frame);

inline void end_unrun(PyThreadState* thread, _PyInterpreterFrame* frame) { _PyEval_FrameClearAndPop(thread, frame); }

#endif

}  // namespace bytegraph
