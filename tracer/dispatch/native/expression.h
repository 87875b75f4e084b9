// A condition over 64-bit integers in postfix form; `Expression` in tracer/guards/checks.py defines it. Nothing here
// knows where its operands come from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "guard_numbers.h"

namespace bytegraph {

struct Instruction {
  Operation operation;
  int64_t operand;  // the constant, or which number to load
};

using Expression = std::vector<Instruction>;

// The greatest depth of the stack; -1 if the program does not end with exactly one value.
inline int stack_depth(const Expression& program) {
  int depth = 0, deepest = 0;
  for (const Instruction& step : program) {
    depth -= arity(step.operation);
    if (depth < 0) return -1;
    deepest = std::max(deepest, ++depth);
  }
  return depth == 1 ? deepest : -1;
}

constexpr int most_expression_depth = 64;

// False if arithmetic overflows 64 bits or divides by zero. Division and remainder round down, as in Python.
inline bool apply(Operation operation, int64_t a, int64_t b, int64_t* result) {
  switch (operation) {
    case Operation::add: return !__builtin_add_overflow(a, b, result);
    case Operation::subtract: return !__builtin_sub_overflow(a, b, result);
    case Operation::multiply: return !__builtin_mul_overflow(a, b, result);
    case Operation::divide:
      if (b == 0 || (b == -1 && a == INT64_MIN)) return false;
      *result = a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
      return true;
    case Operation::modulo:
      if (b == 0) return false;
      *result = b == -1 ? 0 : a % b + (((a % b != 0) && ((a < 0) != (b < 0))) ? b : 0);
      return true;
    case Operation::negative: return !__builtin_sub_overflow(int64_t{0}, a, result);
    case Operation::absolute: return a >= 0 ? (*result = a, true) : !__builtin_sub_overflow(int64_t{0}, a, result);
    case Operation::min: *result = std::min(a, b); return true;
    case Operation::max: *result = std::max(a, b); return true;
    case Operation::equal: *result = a == b; return true;
    case Operation::unequal: *result = a != b; return true;
    case Operation::less: *result = a < b; return true;
    case Operation::less_equal: *result = a <= b; return true;
    case Operation::greater: *result = a > b; return true;
    case Operation::greater_equal: *result = a >= b; return true;
    case Operation::both: *result = a && b; return true;
    case Operation::either: *result = a || b; return true;
    case Operation::negation: *result = !a; return true;
    case Operation::load: case Operation::load_float: case Operation::constant:
      return false;  // `expression_holds` does these itself
  }
  return false;
}

inline bool is_load(Operation operation) {
  return operation == Operation::load || operation == Operation::load_float;
}

// An int that is ordered as a float, which is not NaN, is among floats.
inline int64_t float_order(double number) {
  int64_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  return bits >= 0 ? bits : -(bits & INT64_MAX);
}

// `load(operation, i, &number)` reads the i-th number; if it returns false, the condition is false.
template <typename Load>
bool expression_holds(const Expression& program, Load load) {
  int64_t stack[most_expression_depth];
  int top = 0;
  for (const Instruction& step : program) {
    int64_t result = step.operand;
    if (is_load(step.operation)) {
      if (!load(step.operation, step.operand, &result)) return false;
    } else if (step.operation != Operation::constant) {
      int64_t b = arity(step.operation) == 2 ? stack[--top] : 0;
      int64_t a = stack[--top];
      if (!apply(step.operation, a, b, &result)) return false;
    }
    stack[top++] = result;
  }
  return stack[0] != 0;
}

}  // namespace bytegraph
