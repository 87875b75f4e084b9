#include "watching.h"

#include <algorithm>
#include <unordered_map>

#include "boundary.h"
#include "dict_layout.h"

namespace bytegraph {
namespace {

constexpr int not_asked_for = -1, none_left = -2;

int watcher = not_asked_for;

// Who is to be told of a change of a dictionary, which is alive. Never destroyed: dictionaries end after everything else.
std::unordered_multimap<PyObject*, Watch*>& watches() {
  static auto* table = new std::unordered_multimap<PyObject*, Watch*>;
  return *table;
}

bool has_watcher() {
  if (watcher == not_asked_for) {
    watcher = add_watcher();
    if (watcher < 0) watcher = none_left;
  }
  return watcher >= 0;
}

bool is_told(PyObject* dict, Watch* watch) {
  auto [first, last] = watches().equal_range(dict);
  for (auto row = first; row != last; ++row) {
    if (row->second == watch) return true;
  }
  return false;
}

// Gives the watcher back: whatever is watched is looked at again at every call.
void stop() {
  for (auto& [dict, watch] : watches()) {
    watch->lose();
    unwatch(watcher, dict);
  }
  watches().clear();
  if (watcher >= 0) remove_watcher(watcher);
  watcher = none_left;
}

PyObject* stop_watching(PyObject*, PyObject*) {
  stop();
  Py_RETURN_NONE;
}

PyObject* start_watching(PyObject*, PyObject*) {
  if (watcher == none_left) watcher = not_asked_for;
  return PyBool_FromLong(has_watcher());
}

PyObject* lacks_watcher(PyObject*, PyObject*) { return PyBool_FromLong(has_watchers && watcher == none_left); }

PyObject* watched_dictionaries(PyObject*, PyObject*) { return PyLong_FromSize_t(watches().size()); }

PyMethodDef functions[] = {
    {"start_watching", method<start_watching>(), METH_NOARGS,
     "start_watching() -> whether this interpreter has a watcher of dictionaries for us, which is asked for again"},
    {"stop_watching", method<stop_watching>(), METH_NOARGS,
     "stop_watching(): give the watcher of dictionaries back; their versions are compared at every call from now on"},
    {"lacks_watcher", method<lacks_watcher>(), METH_NOARGS,
     "lacks_watcher() -> whether this CPython has watchers of dictionaries, but had none left, or has it back"},
    {"watched_dictionaries", method<watched_dictionaries>(), METH_NOARGS,
     "watched_dictionaries(): how many there are, each counted for every root object that depends on it"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void before_change(PyObject* dict, bool ends) {
  auto [first, last] = watches().equal_range(dict);
  for (auto row = first; row != last; ++row) ends ? row->second->lose() : row->second->soil();
  if (ends) watches().erase(first, last);
}

bool Watch::add(PyObject* dict, bool is_again) {
  if (!has_watcher() || !watch(watcher, dict)) {
    if (!dictionaries_.empty()) lose();
    return false;
  }
  if (is_told(dict, this)) return true;
  bool is_listed = is_again && std::find(dictionaries_.begin(), dictionaries_.end(), dict) != dictionaries_.end();
  if (!is_listed) dictionaries_.push_back(dict);  // before the table has a row, which is taken out with this watch
  watches().emplace(dict, this);
  return true;
}

Watch::~Watch() {
  auto& table = watches();
  for (PyObject* dict : dictionaries_) {
    auto [first, last] = table.equal_range(dict);
    for (auto row = first; row != last; ++row) {
      if (row->second != this) continue;
      bool is_last = std::next(first) == last;
      table.erase(row);
      if (is_last) unwatch(watcher, dict);
      break;
    }
  }
}

bool add_watching(PyObject* module) { return PyModule_AddFunctions(module, functions) == 0; }

}  // namespace bytegraph
