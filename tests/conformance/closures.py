"""Closures, cells, nonlocal, lambdas and recursion."""

from __future__ import annotations

from .catalogue import program


@program((3,))
def counter(start):
    count = start

    def step(by=1):
        nonlocal count
        count += by
        return count

    return step(), step(5), count, step()


@program()
def late_binding():
    functions = [lambda: i for i in range(3)]
    early = [lambda i=i: i for i in range(3)]
    return [f() for f in functions], [f() for f in early]


@program()
def loop_variable_is_shared():
    functions = []
    for i in range(3):

        def inner():
            return i

        functions.append(inner)
    return [f() for f in functions]


@program()
def two_closures_share_a_cell():
    value = 1

    def get():
        return value

    def put(new):
        nonlocal value
        value = new

    before = get()
    put([before])
    return before, get(), get() is value, get.__closure__[0] is put.__closure__[0]


@program()
def three_levels():
    a = 1

    def outer():
        b = 2

        def middle():
            nonlocal a
            c = 3

            def inner():
                nonlocal b, c
                b, c = b * 10, c * 10
                return a + b + c

            a += 100
            return inner(), c

        return middle(), b

    return outer(), a


@program()
def unbound_free_variable():
    def inner():
        return late

    try:
        inner()
    except NameError as error:
        message = str(error)
    late = 5
    return message, inner()


@program()
def unbound_local():
    def inner(flag):
        if flag:
            value = 1
        return value

    try:
        inner(False)
    except UnboundLocalError as error:
        return inner(True), str(error), type(error) is UnboundLocalError


@program()
def deleted_cell():
    value = 1

    def inner():
        return value

    first = inner()
    del value
    try:
        inner()
    except NameError as error:
        return first, str(error)


@program()
def cell_deleted_from_inside():
    value = 1

    def inner():
        nonlocal value
        del value

    inner()
    try:
        return value
    except UnboundLocalError as error:
        return type(error).__name__


@program((5,), (0,))
def recursion(n):
    def factorial(k):
        return 1 if k <= 1 else k * factorial(k - 1)

    return factorial(n)


@program((7,))
def mutual_recursion(n):
    def even(k):
        return True if k == 0 else odd(k - 1)

    def odd(k):
        return False if k == 0 else even(k - 1)

    return even(n), odd(n)


@program((20,))
def memo_in_a_closure(n):
    seen = {}

    def fibonacci(k):
        if k not in seen:
            seen[k] = k if k < 2 else fibonacci(k - 1) + fibonacci(k - 2)
        return seen[k]

    return fibonacci(n), len(seen)


@program((1, 2))
def lambda_kinds(a, b):
    return (
        (lambda: a)(),
        (lambda x, y=b: x + y)(a),
        (lambda *items: items)(a, b),
        (lambda **named: named)(x=a),
        (lambda x, /, *, k: (x, k))(a, k=b),
        (lambda f: f(f))(lambda f: f is not None),
    )


@program()
def returned_closure():
    secret = [1, 2]

    def inner(x):
        secret.append(x)
        return secret

    return inner


@program()
def returned_function_with_defaults():
    def inner(a, b=[1], *, c={"k": 2}):
        return a, b, c

    inner.note = "kept"
    return inner


@program((3,))
def compose(n):
    def compose_two(f, g):
        return lambda x: f(g(x))

    def add(k):
        return lambda x: x + k

    function = add(0)
    for i in range(n):
        function = compose_two(function, add(i))
    return function(10)


@program()
def decorator():
    calls = []

    def logged(function):
        def wrapper(*items, **named):
            calls.append((function.__name__, items))
            return function(*items, **named)

        wrapper.__name__ = function.__name__
        return wrapper

    @logged
    def add(a, b):
        return a + b

    return add(1, 2), add("a", b="b"), calls, add.__name__


@program()
def decorator_with_arguments():
    def times(n):
        def decorate(function):
            def wrapper(x):
                for _ in range(n):
                    x = function(x)
                return x

            return wrapper

        return decorate

    @times(3)
    @times(2)
    def double(x):
        return x * 2

    return double(1)


@program()
def state_on_the_function():
    def inner():
        inner.count += 1
        return inner.count

    inner.count = 0
    inner()
    return inner(), inner.__dict__


@program()
def closure_in_a_loop_keeps_mutable():
    items = []

    def add(x):
        items.append(x)

    for i in range(4):
        add(i * i)
    return items


@program()
def nonlocal_in_comprehension():
    total = 0

    def add(x):
        nonlocal total
        total += x
        return total

    return [add(x) for x in range(5)], total


@program()
def cell_in_class_body():
    base = 10

    class Inner:
        value = base + 1

        def get(self):
            return base + self.value

    base = 20
    return Inner().get(), Inner.value


@program()
def class_body_name_lookup():
    name = "free"

    class Inner:
        first = name
        second = first + "!"

        def get(self):
            return name

    try:

        class Assigns:
            first = name
            name = "class"

    except NameError as error:
        return Inner.first, Inner.second, Inner().get(), str(error)


@program()
def closure_contents():
    a, b = 1, [2]

    def inner():
        return a, b

    return inner.__code__.co_freevars, [cell.cell_contents for cell in inner.__closure__]


@program()
def assigned_cell_contents():
    a = 1

    def inner():
        return a

    inner.__closure__[0].cell_contents = 7
    return inner(), a


@program()
def empty_cell():
    def inner():
        return late

    try:
        return inner.__closure__[0].cell_contents
    except ValueError as error:
        late = str(error)
        return inner()


@program((4,))
def y_combinator(n):
    fix = lambda f: (lambda x: x(x))(lambda y: f(lambda *a: y(y)(*a)))  # noqa: E731
    return fix(lambda f: lambda k: 1 if k == 0 else k * f(k - 1))(n)


@program()
def global_and_local_of_the_same_name():
    def inner():
        return len([1, 2])

    def shadow(len):
        return len

    return inner(), shadow(5)
