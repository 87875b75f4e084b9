// Watching dictionaries: from CPython 3.12 on, a binding is told when a dictionary that it depends on changes, so that it
// need not look. All bindings share one watcher of the interpreter's. Knows nothing of guards.
#pragma once

#include <vector>

#include "common.h"

namespace bytegraph {

// The dictionaries that one binding depends on. It stays where it is while there are any.
class Watch {
 public:
  Watch() = default;
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // From now on a change of `dict` soils this watch. False if CPython has no watcher for us. `is_again` if there may have
  // been another dictionary at the same address.
  bool add(PyObject* dict, bool is_again = false);

  // Whether none of the dictionaries has changed or ended since `clean`. They are alive then.
  bool is_clean() const { return is_clean_; }

  // Whether a dictionary has ended, so that one at the same address must be added again.
  bool is_lost() const { return is_lost_; }

  // Begins anew.
  void clean() {
    is_clean_ = true;
    is_lost_ = false;
  }
  void soil() { is_clean_ = false; }
  void lose() {
    is_clean_ = false;
    is_lost_ = true;
  }
  size_t size() const { return dictionaries_.size(); }

 private:
  bool is_clean_ = false, is_lost_ = false;
  std::vector<PyObject*> dictionaries_;  // borrowed; one that has ended is known to nobody else any more
};

// Adds `start_watching`, `stop_watching`, `lacks_watcher` and `watched_dictionaries`.
bool add_watching(PyObject* module);

}  // namespace bytegraph
