"""unittest's assertions as plain Python that the tracer can follow, without their messages.

Each assertion of unittest is a graph break, since it formats its message first. With these in its place a test can be
captured as a whole (the mode `followed`); both the plain and the captured run use them.
"""

from __future__ import annotations

import re
import types
import unittest
from typing import Any


class RaisesContext:
    """What `assertRaises` gives to a `with` statement."""

    __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(self, expected: Any, pattern: Any = None) -> None:
        self.expected = expected
        self.pattern = pattern
        self.exception = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            raise AssertionError("nothing was raised")
        if not issubclass(kind, self.expected):
            return False
        self.exception = error.with_traceback(None)
        if self.pattern is not None and not re.search(self.pattern, str(error)):
            raise AssertionError("the message does not match")
        return True


class SubTestContext:
    """What `subTest` gives to a `with` statement: an exception ends the whole test."""

    def __enter__(self):
        return None

    def __exit__(self, kind, error, traceback):
        return False


def _require(holds, msg):
    if not holds:
        raise AssertionError(msg)


class Assertions:
    """The methods that take the place of unittest.TestCase's."""

    def fail(self, msg=None):
        raise AssertionError(msg)

    def assertTrue(self, expr, msg=None):
        if not expr:
            raise AssertionError(msg)

    def assertFalse(self, expr, msg=None):
        if expr:
            raise AssertionError(msg)

    def assertEqual(self, first, second, msg=None):
        if not first == second:
            raise AssertionError(msg)

    def assertNotEqual(self, first, second, msg=None):
        if not first != second:
            raise AssertionError(msg)

    def assertSequenceEqual(self, first, second, msg=None, seq_type=None):
        if seq_type is not None:
            _require(isinstance(first, seq_type) and isinstance(second, seq_type), msg)
        if first == second:
            return
        _require(seq_type is None and len(first) == len(second), msg)
        for index in range(len(first)):
            _require(first[index] == second[index], msg)

    def assertListEqual(self, list1, list2, msg=None):
        self.assertSequenceEqual(list1, list2, msg, list)

    def assertTupleEqual(self, tuple1, tuple2, msg=None):
        self.assertSequenceEqual(tuple1, tuple2, msg, tuple)

    def assertDictEqual(self, d1, d2, msg=None):
        _require(isinstance(d1, dict) and isinstance(d2, dict), msg)
        if d1 != d2:
            raise AssertionError(msg)

    def assertSetEqual(self, set1, set2, msg=None):
        _require(not set1.difference(set2) and not set2.difference(set1), msg)

    def assertMultiLineEqual(self, first, second, msg=None):
        _require(isinstance(first, str) and isinstance(second, str), msg)
        _require(first == second, msg)

    def assertCountEqual(self, first, second, msg=None):
        remaining = list(second)
        for item in list(first):
            for index, other in enumerate(remaining):
                if item == other:
                    del remaining[index]
                    break
            else:
                raise AssertionError(msg)
        _require(not remaining, msg)

    def assertIs(self, expr1, expr2, msg=None):
        if expr1 is not expr2:
            raise AssertionError(msg)

    def assertIsNot(self, expr1, expr2, msg=None):
        if expr1 is expr2:
            raise AssertionError(msg)

    def assertIsNone(self, obj, msg=None):
        if obj is not None:
            raise AssertionError(msg)

    def assertIsNotNone(self, obj, msg=None):
        if obj is None:
            raise AssertionError(msg)

    def assertIn(self, member, container, msg=None):
        if member not in container:
            raise AssertionError(msg)

    def assertNotIn(self, member, container, msg=None):
        if member in container:
            raise AssertionError(msg)

    def assertIsInstance(self, obj, cls, msg=None):
        if not isinstance(obj, cls):
            raise AssertionError(msg)

    def assertNotIsInstance(self, obj, cls, msg=None):
        if isinstance(obj, cls):
            raise AssertionError(msg)

    def assertLess(self, a, b, msg=None):
        if not a < b:
            raise AssertionError(msg)

    def assertLessEqual(self, a, b, msg=None):
        if not a <= b:
            raise AssertionError(msg)

    def assertGreater(self, a, b, msg=None):
        if not a > b:
            raise AssertionError(msg)

    def assertGreaterEqual(self, a, b, msg=None):
        if not a >= b:
            raise AssertionError(msg)

    def _almost(self, first, second, places, delta):
        if first == second:
            return True
        difference = abs(first - second)
        if delta is not None:
            return difference <= delta
        return round(difference, 7 if places is None else places) == 0

    def assertAlmostEqual(self, first, second, places=None, msg=None, delta=None):
        _require(self._almost(first, second, places, delta), msg)

    def assertNotAlmostEqual(self, first, second, places=None, msg=None, delta=None):
        _require(not self._almost(first, second, places, delta), msg)

    def assertRegex(self, text, expected_regex, msg=None):
        _require(re.search(expected_regex, text), msg)

    def assertNotRegex(self, text, unexpected_regex, msg=None):
        _require(not re.search(unexpected_regex, text), msg)

    def assertRaises(self, expected_exception, *args, **kwargs):
        if not args:
            return RaisesContext(expected_exception)
        with RaisesContext(expected_exception):
            args[0](*args[1:], **kwargs)

    def assertRaisesRegex(self, expected_exception, expected_regex, *args, **kwargs):
        if not args:
            return RaisesContext(expected_exception, expected_regex)
        with RaisesContext(expected_exception, expected_regex):
            args[0](*args[1:], **kwargs)

    def subTest(self, msg=None, **params):
        return SubTestContext()


def install() -> None:
    """Put these assertions in the place of unittest's, in this process."""
    for name, function in vars(Assertions).items():
        if isinstance(function, types.FunctionType):
            setattr(unittest.TestCase, name, function)
