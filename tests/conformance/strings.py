"""str and bytes: methods, slicing, searching, encoding, building."""

from __future__ import annotations

from .catalogue import program, raising


@program(("Hello World",), ("",), ("ß İ ǆ",))
def cases(s):
    return s.upper(), s.lower(), s.title(), s.capitalize(), s.swapcase(), s.casefold()


@program(("Hello",), ("123",), ("",), (" \t",), ("a1_",), ("Ⅷ½",))
def tests(s):
    return (
        s.isalpha(),
        s.isdigit(),
        s.isalnum(),
        s.isspace(),
        s.isupper(),
        s.islower(),
        s.istitle(),
        s.isidentifier(),
        s.isnumeric(),
        s.isdecimal(),
        s.isprintable(),
        s.isascii(),
    )


@program(
    ("a,b,,c",),
)
def splitting(s):
    return (
        s.split(","),
        s.split(",", 1),
        s.rsplit(",", 1),
        " a  b ".split(),
        "".split(),
        "".split(","),
        s.partition(","),
        s.rpartition(","),
        s.partition("z"),
        "a\nb\r\nc\n".splitlines(),
        "a\nb".splitlines(True),
        "a b c".split(maxsplit=1),
        s.split(sep=",", maxsplit=2),
    )


@program(raising(ValueError))
def empty_separator():
    return "a".split("")


@program()
def stripping():
    return (
        "  a ".strip(),
        "xxaxx".strip("x"),
        " a ".lstrip(),
        " a ".rstrip(),
        "abcba".strip("ab"),
        "prefix_x".removeprefix("prefix_"),
        "x.py".removesuffix(".py"),
        "abc".removeprefix("z"),
    )


@program(("banana",))
def searching(s):
    return (
        s.find("an"),
        s.rfind("an"),
        s.find("z"),
        s.find("an", 2),
        s.index("n"),
        s.count("a"),
        s.count(""),
        s.startswith("ba"),
        s.endswith(("x", "na")),
        s.startswith("an", 1, 3),
        "nan" in s,
        "" in s,
        "z" not in s,
    )


@program()
def replacing():
    return (
        "aaa".replace("a", "b"),
        "aaa".replace("a", "b", 2),
        "abc".replace("", "-"),
        "abc".translate({97: "X", 98: None, ord("c"): 100}),
        "abc".translate(str.maketrans("ab", "12", "c")),
        "a\tb".expandtabs(4),
    )


@program()
def padding():
    return "a".center(5, "*"), "a".ljust(3) + "|", "a".rjust(3), "-5".zfill(4), "abc".zfill(2), "ab".center(5)


@program()
def joining():
    return (
        ",".join(["a", "b"]),
        "".join(c for c in "abc"),
        "-".join("xyz"),
        ", ".join(map(str, [1, 2])),
        "x".join([]),
        "x".join(("one",)),
        " ".join({"k": 1, "j": 2}),
    )


@program()
def join_errors():
    messages = []
    for thing in ([1], ["a", None], 5, ["a", b"b"]):
        try:
            ",".join(thing)
        except TypeError as error:
            messages.append(str(error))
    return messages


@program(("abcdef",))
def indexing(s):
    return s[0], s[-1], s[1:3], s[::-1], s[::2], s[10:], s[-2:], s[:-2], s[5:1:-2], len(s), s[2:2]


@program(raising(IndexError))
def index_out_of_range():
    return "abc"[3]


@program()
def operators():
    return "a" + "b", "ab" * 2, 3 * "x", "a" * 0, "a" * -1, "a" < "b", "a" < "B", "abc" < "abd", "" < "a", "a" == "a"


@program((["x", "y", "z"],))
def building(items):
    text = ""
    for i, item in enumerate(items):
        if i:
            text += ", "
        text += item + str(i)
    return text


@program()
def iteration():
    return list("héy"), [c for c in "ab"], sorted("banana"), set("aab") == {"a", "b"}, dict.fromkeys("aab"), max("abc")


@program()
def encoding():
    return (
        "é".encode(),
        "é".encode("latin-1"),
        b"\xc3\xa9".decode(),
        "é".encode("ascii", "ignore"),
        "é".encode("ascii", "replace"),
        b"\xff".decode("utf-8", "replace"),
        str(b"abc", "ascii"),
        str(b"abc"),
        "a".encode("utf-16-le"),
    )


@program(raising(UnicodeEncodeError))
def encoding_error():
    return "é".encode("ascii")


@program()
def bytes_methods():
    b = b"Hello World"
    return (
        b.upper(),
        b.split(),
        b[0],
        b[1:3],
        list(b"ab"),
        b.find(b"o"),
        b.replace(b"l", b"L"),
        b"-".join([b"a", b"b"]),
        b.hex(),
        bytes.fromhex("00ff"),
        bytes(3),
        bytes([1, 2]),
        b"a" in b"abc",
        97 in b"abc",
        b"%d %s" % (1, b"x"),
        b.startswith(b"He"),
        b"a" + b"b",
        b"ab" * 2,
        b.decode().title(),
    )


@program((bytearray(b"abc"),))
def byte_arrays(b):
    b.append(100)
    b.extend(b"ef")
    b[0] = 90
    b[1:2] = b"yy"
    del b[-1]
    b += b"!"
    popped = b.pop()
    b.reverse()
    return popped, b, bytes(b), len(b), b.find(b"y"), memoryview(b"abc")[1], bytes(memoryview(b"abcd")[1:3])


@program()
def codes():
    return ord("a"), chr(8364), "\x41\u00e9\N{EURO SIGN}", "tab\t", r"raw\n", "ab", '"' + "'", """tri"ple"""


@program()
def comparisons_of_kinds():
    return "1" == 1, "a" == b"a", "abc" in ("abc", 1), "a" != "b"


@program(("The quick brown fox jumps over the lazy dog the end",))
def word_count(text):
    counts = {}
    for word in text.lower().split():
        counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


@program(("level",), ("Was it a car",))
def palindrome(text):
    letters = [c.lower() for c in text if c.isalpha()]
    return letters == letters[::-1]


@program(("Hello, World", 3))
def caesar(text, shift):
    def move(c):
        if not c.isalpha():
            return c
        base = ord("A") if c.isupper() else ord("a")
        return chr((ord(c) - base + shift) % 26 + base)

    return "".join(move(c) for c in text)


@program(("aaabbc",))
def run_length(text):
    result, previous, n = [], None, 0
    for c in text:
        if c == previous:
            n += 1
        else:
            if previous:
                result.append(f"{previous}{n}")
            previous, n = c, 1
    return "".join(result + [f"{previous}{n}"])


@program()
def unbound_methods():
    return list(map(str.upper, ["a", "b"])), str.join("-", ["x", "y"]), list(map(len, ["a", "bb"])), str.format("{}", 1)
