"""fractions: a Fraction of constants is a constant."""

from __future__ import annotations

from fractions import Fraction

from tracer.interpret.policy import pure

pure(Fraction)
