// What the guard program must know of each kind of step of an access path. There is no `default` in the switch: a row
// added to ACCESSORS of tracer/guards/source.py does not build (-Werror=switch) until it is described here.
#pragma once

#include "guard_numbers.h"

namespace bytegraph {

struct AccessTraits {
  bool is_root = false;         // starts a path; every other one has a base
  bool has_int_key = false;     // its key is read into `Node::index`
  bool is_durable = false;      // stays as it is until a word of memory changes that stamps watch
  bool is_by_content = false;   // a change of the base's version may change it: repair reads it again
  bool is_by_identity = false;  // fixed by the identity of an immutable base, so that no stamp covers it
};

constexpr AccessTraits traits(Access access) {
  switch (access) {
    case Access::argument:
    case Access::function:
    case Access::object:
    case Access::module: return {.is_root = true};
    case Access::globals:
    case Access::builtins:
    case Access::type: return {.is_durable = true, .is_by_identity = true};
    case Access::cell: return {.has_int_key = true, .is_durable = true, .is_by_identity = true};
    case Access::dict: return {.is_durable = true};
    case Access::class_attribute:
    case Access::item: return {.is_durable = true, .is_by_content = true};
    case Access::key: return {.has_int_key = true, .is_durable = true, .is_by_content = true};
    case Access::index: return {.has_int_key = true, .is_by_identity = true};
    case Access::deque_item:
    case Access::size:
    case Access::stride: return {.has_int_key = true};
    case Access::contents:
    case Access::getattr:
    case Access::length:
    case Access::item_of:
    case Access::storage_offset:
    case Access::subclasses:
    case Access::call:
    case Access::upcoming:
    case Access::has_upcoming:
    case Access::leaf:
    case Access::form:
    case Access::memory:
    case Access::layout:
    case Access::held: return {};
  }
  return {};
}

}  // namespace bytegraph
