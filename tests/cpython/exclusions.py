"""What is not measured, each with its reason: modules, tests by name, tests by what their source says.

Two grounds only. Modules that are about something else than the program (other processes, sockets, windows, the C API,
the compiler's own C code) spend the time of the run on what capturing cannot change. And a test that asks how CPython
runs a program (its frames, its bytecode, the depth of its stack, reference counts) asks for what a capture may change.
A test that comes out differently when it is run plainly twice is found by the run itself and needs no row here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Exclusion:
    """Why modules, tests or sources that match `pattern` as a whole (a source: anywhere) are not measured."""

    reason: str
    pattern: str


MODULES = (
    Exclusion(
        "sockets and servers",
        r"test_(asyncio|asynchat|asyncore|epoll|ftplib|httplib|httpservers|imaplib|kqueue|nntplib|poll|poplib|select|selectors"
        r"|smtpd|smtplib|smtpnet|socket|socketserver|ssl|telnetlib|timeout|urllib2\w*|urllib_response|urllibnet|robotparser"
        r"|xmlrpc|docxmlrpc|xmlrpc_net|ioctl|eintr|devpoll|ossaudiodev|syslog)",
    ),
    Exclusion(
        "other processes",
        r"test_(multiprocessing\w*|_test_multiprocessing|concurrent_futures|subprocess|popen|posix|fork1|wait3|wait4|pty"
        r"|openpty|cmd_line\w*|regrtest|test\w*|venv|ensurepip|embed|gdb|distutils|pdb|faulthandler|repl|readline|site|runpy"
        r"|zipapp|signal|interpreters|_xxsubinterpreters|launcher|atexit|tools|compileall|py_compile|utf8_mode"
        r"|c_locale_coercion|perfmaps)",
    ),
    Exclusion(
        "traces or profiles the interpreter",
        r"test_(sys_setprofile|sys_settrace|trace|bdb|profile|cprofile|tracemalloc)",
    ),
    Exclusion("threads", r"test_(thread\w*|threading\w*|threadsignals|threadedtempfile|queue|sched)"),
    Exclusion(
        "windows", r"test_(tk|tix|ttk\w*|tkinter|idle|turtle|curses|winconsoleio|winreg|winsound|msilib|startfile)"
    ),
    Exclusion(
        "minutes in C code, in files or on the network",
        r"test_(bz2|gzip|lzma|zipfile\w*|tarfile|dbm\w*|largefile|sqlite3|mailbox|mmap|zipimport\w*|zoneinfo|codecmaps_\w+"
        r"|multibytecodec|ucn|normalization|lib2to3|peg_generator|capi|asdl_parser|crypt|spwd|nis|source_encoding|bigmem"
        r"|decimal_deccheck|hashlib|unicodedata|pydoc)",
    ),
)
"""Modules below `test` that are not run unless they are named on the command line."""

TESTS = (
    Exclusion(
        "when objects are freed by the collector",
        r".*(refleak|leaks?\b|_leak|refcount|free_after|dealloc|trashcan|gc\b|_gc_|cycle_collect|ref_counting).*",
    ),
    Exclusion("event loops", r"test_asyncgen\.AsyncGenAsyncioTest\..*"),
    Exclusion("traces the interpreter", r"test_patma\.TestTracing\..*"),
    Exclusion("threads", r".*[Tt]hread.*"),
    Exclusion("CPython uses a tuple again that nobody else holds", r"test_itertools\..*_tuple_reuse"),
    Exclusion("inline caches of the bytecode", r"test_dynamic\..*(oparg|specialization).*"),
    Exclusion(
        "frames and source files",
        r"test_inspect\.(TestInterpreterStack|TestRetrievingSourceCode|TestOneliners|TestBuggyCases|TestNoEOL)\..*",
    ),
    Exclusion("line numbers in tracebacks", r"test_exceptions\.PEP626Tests\..*"),
    Exclusion("the depth of the stack", r".*(_recursion|[Rr]ecurs|recursive_repr_depth|MemoryError|huge|bigmem).*"),
    Exclusion("positions in tracebacks", r".*(traceback|tb_frame|tb_lineno|trace_func).*"),
)
"""Tests, as module.Class.method, that are not measured."""

SOURCES = (
    Exclusion(
        "looks at frame objects",
        r"sys\._getframe|currentframe|\bf_(back|locals|lineno|code|lasti|globals)\b|(gi|cr|ag)_frame",
    ),
    Exclusion("traces or profiles the interpreter", r"settrace|setprofile"),
    Exclusion("counts references", r"getrefcount|gettotalrefcount|refcount_test"),
    Exclusion(
        "when objects are freed by the collector",
        r"gc_collect|\bgc\.(collect|get_|disable|enable|is_tracked)|check_free_after|_testcapi\.\w*ref",
    ),
    Exclusion("tracebacks", r"tb_lineno|tb_next|tb_frame|__traceback__|extract_tb|format_exc|traceback\.|unraisable"),
    Exclusion("bytecode", r"\bdis\.|co_code|co_consts|get_instructions|co_stacksize|_opcode"),
    Exclusion("sizes of objects in memory", r"sys\.getsizeof|check_sizeof|getallocatedblocks"),
    Exclusion(
        "the depth of the stack",
        r"setrecursionlimit|RecursionError|getrecursionlimit|infinite_recursion|recursion_depth|10\*\*5\)",
    ),
    Exclusion("threads", r"threading\.|ThreadPool|start_threads|Thread\("),
    Exclusion("other processes", r"script_helper|assert_python_(ok|failure)|subprocess|spawn_python|run_in_subinterp"),
    Exclusion("the clock", r"perf_counter|time\.(time|sleep|monotonic)"),
)
"""Patterns in the source of a test that is not measured."""


def exclusion_of_module(module: str) -> str | None:
    """Why a module is not run, or None."""
    return next((row.reason for row in MODULES if re.fullmatch(row.pattern, module)), None)


def exclusion_of_test(name: str, source: str) -> str | None:
    """Why a test is not measured, or None. `name` is module.Class.method; `source` is that of the method."""
    for row in TESTS:
        if re.fullmatch(row.pattern, name):
            return row.reason
    return next((row.reason for row in SOURCES if re.search(row.pattern, source)), None)
