"""int, float, complex arithmetic, the math module, numeric built-ins."""

from __future__ import annotations

import math

from .catalogue import program, raising


@program((7, 2), (-7, 2), (7, -2), (0, 5))
def integer_operators(a, b):
    return a + b, a - b, a * b, a / b, a // b, a % b, a**b if b > 0 else None, divmod(a, b), a & b, a | b, a ^ b


@program((3,), (-3,))
def shifts(a):
    return a << 2, a >> 1, ~a, -a, +a, a << 100


@program((7.5, 2.0), (-7.5, 2.0), (7.5, -0.25))
def float_operators(a, b):
    return a + b, a - b, a * b, a / b, a // b, a % b, a**b, divmod(a, b), -a, +a, abs(a)


@program()
def mixed_types():
    return 1 + 2.0, True + True, 2**-1, 2**0.5, (-8) ** (1 / 3), 1 + 2j, 3 // 2.0, True * 3, 1.0 == 1, 10**20, 7 // -2


@program()
def special_floats():
    inf, nan = float("inf"), float("nan")
    return (
        inf,
        -inf,
        nan,
        inf - inf,
        nan == nan,
        nan != nan,
        inf > 1e308,
        -0.0,
        0.0 == -0.0,
        [nan] == [nan],
        nan in (nan,),
    )


@program()
def float_nan_identity():
    nan = float("nan")
    items = [nan, 1]
    return nan in items, items.index(nan), items.count(nan), [float("nan")] == [float("nan")]


@program()
def complex_numbers():
    z = 3 + 4j
    return z.real, z.imag, abs(z), z.conjugate(), z * 1j, z / 2, z == complex(3, 4), -z, complex("1+2j"), z**2


@program(raising(ZeroDivisionError))
def division_by_zero():
    return 1 / 0


@program()
def big_integers():
    n = 2**200
    return n, n + 1, n % 997, n // 3, n.bit_length(), int(str(n)) == n, -n >> 3, n & 0xFF, hash(n) == hash(2**200)


@program()
def roundings():
    return (
        round(2.5),
        round(3.5),
        round(-2.5),
        round(2.675, 2),
        round(1234, -2),
        round(1.5, 0),
        round(7),
        round(2.0),
        math.floor(-1.5),
        math.ceil(-1.5),
        math.trunc(-1.5),
        int(-1.9),
    )


@program()
def conversions():
    return (
        int("42"),
        int(" -7 "),
        int("ff", 16),
        int("0b11", 0),
        int(3.9),
        int(True),
        float("1e3"),
        float(" -inf "),
        float(3),
        bool(0.0),
        bool("0"),
        str(1.0),
        str(1e100),
        repr(0.1),
        hex(255),
        oct(8),
        bin(-5),
        chr(97),
        ord("a"),
        complex(1),
    )


@program()
def math_functions():
    return [
        math.sqrt(2),
        math.exp(1),
        math.log(10),
        math.log(8, 2),
        math.log2(8),
        math.log10(1000),
        math.log1p(0.5),
        math.sin(1),
        math.cos(1),
        math.tan(1),
        math.atan2(1, -1),
        math.asin(0.5),
        math.sinh(1),
        math.tanh(0.5),
        math.pow(2, 0.5),
        math.fmod(-7, 3),
        math.hypot(3, 4),
        math.degrees(math.pi),
        math.radians(180),
        math.erf(0.5),
        math.gamma(5),
        math.copysign(1, -0.0),
        math.fabs(-2),
        math.expm1(1e-5),
        math.cbrt(27),
    ]


@program()
def math_integers():
    return (
        math.factorial(10),
        math.gcd(12, 18, 27),
        math.lcm(4, 6),
        math.comb(5, 2),
        math.perm(5, 2),
        math.isqrt(17),
        math.prod([1, 2, 3, 4]),
        math.prod([], start=5),
        math.fsum([0.1] * 10),
        math.dist((0, 0), (3, 4)),
        math.modf(3.25),
        math.frexp(8.0),
        math.ldexp(0.5, 4),
    )


@program()
def math_tests():
    return (
        math.isnan(float("nan")),
        math.isinf(math.inf),
        math.isfinite(1e308),
        math.isclose(0.1 + 0.2, 0.3),
        math.isclose(1, 1.1, rel_tol=0.2),
        math.pi,
        math.e,
        math.tau,
        math.inf,
    )


@program()
def math_errors():
    results = []
    for action in (
        lambda: math.sqrt(-1),
        lambda: math.log(0),
        lambda: math.factorial(-1),
        lambda: math.exp(1000),
        lambda: math.sqrt("a"),
        lambda: int(float("inf")),
        lambda: int(float("nan")),
    ):
        try:
            results.append(action())
        except (ValueError, OverflowError, TypeError) as error:
            results.append((type(error).__name__, str(error)))
    return results


@program()
def protocol_of_math():
    class Number:
        def __floor__(self):
            return "floor"

        def __ceil__(self):
            return "ceil"

        def __trunc__(self):
            return "trunc"

        def __round__(self, n=None):
            return ("round", n)

        def __abs__(self):
            return "abs"

        def __index__(self):
            return 3

        def __float__(self):
            return 2.5

    n = Number()
    return (
        math.floor(n),
        math.ceil(n),
        math.trunc(n),
        round(n),
        round(n, 2),
        abs(n),
        [0, 1, 2, 3][n],
        float(n),
        math.sqrt(n),
        range(5)[n],
        hex(n),
        "x" * n,
    )


@program()
def number_methods():
    return (
        (10).bit_length(),
        (255).to_bytes(2, "big"),
        int.from_bytes(b"\x01\x00", "little"),
        (7).bit_count(),
        (2.5).as_integer_ratio(),
        (3.0).is_integer(),
        (0.1).hex(),
        float.fromhex("0x1.8p1"),
        (5).numerator,
        (5).conjugate(),
        (1.5).real,
    )


@program()
def power():
    return pow(2, 10), pow(2, 10, 1000), pow(3, -1, 7), pow(2.0, 3), 0**0, (-2) ** 2, -(2**2)


@program()
def overflow():
    try:
        return 1e308 * 10, 2.0**2000
    except OverflowError as error:
        return error.args


@program()
def numeric_built_ins():
    return sum([1, 2.5]), sum([], 10), sum([[1], [2]], []), max(1, 2.0, True), min("b", "a"), abs(-3.5), divmod(-7, 3)


@program((10,))
def newton(n):
    x = float(n)
    for _ in range(6):
        x = 0.5 * (x + n / x)
    return x


@program()
def small_integer_identity():
    a, b = 5, 2 + 3
    return a is b, bool(1) is True, None is None
