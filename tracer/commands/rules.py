"""`rules`: shows the rules of a rulebook, its coverage, and how it compares with other books and recorded calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from passes.infer.assessment.compare import UNKNOWN_FAMILY, RuleCheck, by_family, check_operator, differences, family
from passes.infer.assessment.defaults import contradicted, default_dtype
from passes.infer.assessment.merge import MergeChoice
from passes.infer.assessment.merge import merge as merged
from passes.infer.assessment.sweep import SweptRule, narrowed, swept, twins_of
from passes.infer.run import StudyJob, Task, calls_of, inputs_of_siblings, matches, read_log, tasks_of
from passes.infer.validity.regain import regained
from passes.infer.validity.widen import widened
from passes.infer.worker import Laboratory
from passes.meta import DTYPE_BY_NAME
from passes.operators.resolve import resolve
from passes.rules.answer import Answerer
from passes.rules.book import Rulebook, add_to_title, copy_title, shipped_folder, write_rules
from passes.rules.language import RuleError
from passes.rules.rule import Rule, to_json
from passes.rules.show import rule_text
from passes.rules.why import read_arguments, reasons, silence
from tracer.commands.printing import JsonOption, print_json, print_table, say, with_progress

DEFAULT_BOOK: Final = shipped_folder()
HEADINGS: Final = {"operators": "ops", "data_dependent": "data"}  # shorter headings for columns
BookOption = Annotated[Path, typer.Option("--book", help="Folder of the rulebook; default: the shipped one.")]
OpsOption = Annotated[str, typer.Option("--ops", help="Operators: 'add*', several with commas.")]
SeedOption = Annotated[int, typer.Option("--seed", help="What the calls leave open is drawn from this.")]

application = typer.Typer(no_args_is_help=True, help="Show, compare, check and merge rules.")


@application.command()
def show(
    op: Annotated[str, typer.Argument(help="An operator, a pattern, or a part of the names of several operators.")],
    book: BookOption = DEFAULT_BOOK,
    source: Annotated[bool, typer.Option("--source", help="Show the compiled code instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the rules of an operator, each as a function with its evidence."""
    rules = [rule for level, name in _matching(Rulebook(book), op) for rule in Rulebook(book).rules(name, level)]
    if as_json:
        print_json([to_json(rule) for rule in rules])
    else:
        say("\n\n".join(_source(rule) if source else rule_text(rule) for rule in rules))


def _matching(book: Rulebook, wanted: str) -> list[tuple[str, str]]:
    """Operators with this name; if there are none all overloads, else all whose names contain it."""
    operators = book.operators()
    tests = (
        lambda op: op == wanted or op.partition("::")[2] == wanted,
        lambda op: fnmatchcase(op, wanted) or op.rpartition("::")[2].partition(".")[0] == wanted,
        lambda op: op.removeprefix("torch.") == wanted,
        lambda op: wanted in op,
    )
    for test in tests:
        if matches := [(level, op) for level, op in operators if test(op)]:
            return matches
    raise RuleError(f"no operator of {book.folder} has {wanted!r} in its name; see `rules coverage`")


def _source(rule: Rule) -> str:
    return Answerer(rule).source.rstrip()


@application.command()
def why(
    op: Annotated[str, typer.Argument(help="An operator, as `rules show` finds it.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="'f32[3, 4] stride (1, 3)', '[f32[2], f32[2]]', 2, 'dim=1', torch.float64."),
    ] = None,
    book: BookOption = DEFAULT_BOOK,
    as_json: JsonOption = False,
) -> None:
    """Say which rule answers a call, from which evidence, or why each refuses. Exits with 1 if none answers."""
    rulebook = Rulebook(book)
    level, name = _matching(rulebook, op)[0]
    target, (args, kwargs) = resolve(name, level), read_arguments(arguments or ())
    answers, silent = reasons(rulebook, target, args, kwargs), silence(rulebook, target, args, kwargs)
    if as_json:
        print_json({"op": name, "level": level, "reasons": [list(each.lines) for each in answers], "silence": silent})
    else:
        say("\n".join(line for each in answers for line in each.lines))
        say(f"no rule answers this call of {name}: {silent}" if silent else f"{name} is answered by a rule")
    raise typer.Exit(1 if silent else 0)


@application.command()
def coverage(
    book: BookOption = DEFAULT_BOOK,
    corpora: Annotated[
        list[Path] | None, typer.Option("--corpus", help="Also count the calls of this corpus; repeatable.")
    ] = None,
    ops: OpsOption = "*",
    as_json: JsonOption = False,
) -> None:
    """Count the operators, and the calls of a corpus, that rules predict, by family; list the others, and why."""
    rulebook = Rulebook(book)
    if corpora:
        checked = list(_checked(rulebook, corpora, ops, None))
        unknown = [(each.level, each.name, _why_of(each)) for each in checked if each.answered < 1 or not each.exact]
        rows = [_counts(each) for each in by_family(checked)]
    else:
        operators = [(level, op, family(rulebook.rules(op, level))) for level, op in rulebook.operators()]
        log = read_log(rulebook.folder)
        unknown = [(level, op, _why(log.get((level, op)))) for level, op, kind in operators if kind == UNKNOWN_FAMILY]
        unknown += [(*key, report.failure) for key, report in sorted(log.items()) if report.failure is not None]
        counted = Counter((level, kind) for level, _, kind in operators)
        rows = [
            {"level": level, "family": kind, "operators": count} for (level, kind), count in sorted(counted.items())
        ]
    if as_json:
        print_json(
            {"families": rows, "unknown": [dict(zip(("level", "op", "why"), row, strict=True)) for row in unknown]}
        )
        return
    _print_by_level(rows)
    print_table(f"{len(unknown)} operators not predicted, or not always", ("level", "op", "why"), unknown)


def _print_by_level(rows: list[dict[str, Any]]) -> None:
    for level in dict.fromkeys(row["level"] for row in rows):
        rows_of_level = [
            {name: value for name, value in row.items() if name != "level"} for row in rows if row["level"] == level
        ]
        headings = [HEADINGS.get(name, name) for name in rows_of_level[0]]
        print_table(f"level {level}", headings, [tuple(row.values()) for row in rows_of_level])


def _lacks_text(lacks: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in lacks.most_common())


def _why(report: Any) -> str:
    return (
        "depends on data, or no rule explains it" if report is None or report.clean else "refuted until the last round"
    )


def _why_of(each: RuleCheck) -> str:
    if each.data_dependent and not each.unknown:
        return "returns numbers read from data"
    return f"{each.unknown} of {each.exact + each.wrong + each.unknown} calls"


def _counts(each: RuleCheck) -> dict[str, Any]:
    words = ("level", "family", "operators", "perfect", "exact", "wrong", "unknown", "data_dependent", "refused")
    return {word: getattr(each, word) for word in words} | {"answered": f"{100 * each.answered:.2f}%"}


def _checked(book: Rulebook, corpora: list[Path], ops: str, level: str | None) -> Iterator[RuleCheck]:
    folders = tuple(map(str, corpora))
    tasks = [task for task in tasks_of(StudyJob(folders), ops) if level in (None, task.level)]
    names = (task.op for task in tasks)
    for task, _ in zip(tasks, with_progress(names, len(tasks), "checking"), strict=True):
        yield _check(book, folders, task)


def _check(book: Rulebook, folders: tuple[str, ...], task: Task) -> RuleCheck:
    return check_operator(book, folders, task.op, task.level)


@application.command()
def diff(left: Path, right: Path, as_json: JsonOption = False) -> None:
    """List the differences between two rulebooks. Exits with 1 if there are any."""
    rows = list(differences(Rulebook(left), Rulebook(right)))
    if as_json:
        print_json([asdict(each) for each in rows])
    for each in [] if as_json else rows:
        if each.what == "operator":
            say(f"{'-' if each.left else '+'} {each.op}")
            continue
        say(f"{each.op}: {each.what}")
        for sign, text in (("-", each.left), ("+", each.right)):
            if text:
                say(f"    {sign} {text}")
    if not rows:
        say("no difference", err=True)
    raise typer.Exit(1 if rows else 0)


@application.command()
def check(
    book: Annotated[Path, typer.Argument(help="Folder of the rulebook.")],
    corpora: Annotated[list[Path], typer.Argument(help="Folders of the corpora to check on.")],
    ops: OpsOption = "*",
    level: Annotated[str | None, typer.Option("--level", help="Check only calls recorded at this level.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare rules with recorded calls, by family, and say what their evidence lacks. Exits with 1 if one is wrong."""
    checked = list(_checked(Rulebook(book), corpora, ops, level))
    wrong = [each for each in checked if each.wrong]
    families = by_family(checked)
    if as_json:
        names = [each.name for each in fields(RuleCheck)]  # asdict would copy counters as it does lists
        facts = [{name: getattr(each, name) for name in (*names, "answered")} for each in checked]
        print_json({"families": [_counts(each) | {"lacks": each.lacks} for each in families], "operators": facts})
    else:
        _print_by_level([_counts(each) for each in families])
        lacks = [(each.level, each.family, _lacks_text(each.lacks)) for each in families if each.lacks]
        print_table("what so many rules were never tried with", ("level", "family", "evidence lacks"), lacks)
        for each in wrong:
            facts = ", ".join(f"{name} {count}" for name, count in each.differences.items())
            say(f"{each.name}: {each.wrong} of {each.exact + each.wrong} wrong, in {facts}", err=True)
            say(f"    {each.examples[0]}" if each.examples else "", err=True)
    raise typer.Exit(1 if wrong else 0)


@application.command()
def sweep(
    book: BookOption = DEFAULT_BOOK,
    ops: OpsOption = "*",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Ask rules about calls in many layouts, ranks, dtypes and relations of tensors. Exits with 1 if one is wrong."""
    rulebook = Rulebook(book)
    names = [(level, op) for level, op in rulebook.operators() if matches(op, ops)]
    results: list[SweptRule] = []
    with Laboratory() as laboratory:
        for level, op in names:
            results += swept(rulebook.rules(op, level), laboratory, seed)
    wrong = [each for each in results if each.wrong]
    if as_json:
        print_json([asdict(each) for each in results])
    else:
        rows = [(each.op, each.exact, each.wrong, each.unanswered, (each.examples or [""])[0]) for each in wrong]
        print_table(f"{len(wrong)} rules are wrong", ("op", "exact", "wrong", "unanswered", "for example"), rows)
        sums = {what: sum(getattr(each, what) for each in results) for what in ("exact", "wrong", "unanswered")}
        say(f"{len(results):,} rules: {', '.join(f'{count:,} {what}' for what, count in sums.items())}")
    raise typer.Exit(1 if wrong else 0)


@application.command()
def narrow(
    book: Annotated[Path, typer.Argument(help="Folder of the rulebook.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the rulebook to write; it may be the same.")],
    ops: OpsOption = "*",
    corpora: Annotated[
        list[Path], typer.Option("--corpus", help="Folder of a corpus whose calls count as trials; repeatable.")
    ] = [],  # noqa: B006
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Withdraw answers that trials as in `rules sweep` contradict; take a twin's rules that answer more."""
    folders = tuple(map(str, corpora))

    def change(rulebook: Rulebook, op: str, level: str, laboratory: Laboratory) -> list[Rule]:
        names = (op, *twins_of(op, level))
        recorded = [call for name in names for call in calls_of(folders, name, level)[0]]
        return narrowed(rulebook, op, level, laboratory, seed, recorded)

    _rewrite(book, out, ops, change, as_json)


@application.command()
def widen(
    book: Annotated[Path, typer.Argument(help="Folder of the rulebook.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the rulebook to write; it may be the same.")],
    corpora: Annotated[
        list[Path], typer.Option("--corpus", help="Folder of a corpus whose calls trials are made from; repeatable.")
    ],
    ops: OpsOption = "*",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Try rules with ranks, dtypes and layouts that they lack, as their siblings were called; keep what holds."""
    folders = tuple(map(str, corpora))

    def change(rulebook: Rulebook, op: str, level: str, laboratory: Laboratory) -> list[Rule]:
        rules, calls = rulebook.rules(op, level), calls_of(folders, op, level)[0]
        others = inputs_of_siblings(folders, op, level, seed)
        if calls or others:
            rules = widened(rules, calls, laboratory, StudyJob(folders).trials, seed, others)
        return regained(rules, calls, laboratory, seed)

    _rewrite(book, out, ops, change, as_json)


@application.command()
def defaults(
    book: Annotated[Path, typer.Argument(help="Folder of the rulebook, whose title is written again.")],
    dtypes: Annotated[list[str], typer.Option("--dtype", help="A default dtype; repeatable.")] = ["f64"],  # noqa: B006
    as_json: JsonOption = False,
) -> None:
    """Try rules under other default dtypes; write into the book's title which they are, and where rules fail there."""
    rulebook = Rulebook(book)
    refuted: dict[str, list[str]] = {}
    for name in dtypes:
        with default_dtype(DTYPE_BY_NAME[name]), Laboratory(forked=True) as laboratory:
            refuted[name] = sorted({rule.op for rule in contradicted(rulebook, laboratory)})
    add_to_title(book, defaults=refuted)
    if as_json:
        print_json(refuted)
    else:
        for name, ops in refuted.items():
            say(f"{name}: rules of {len(ops)} operators are wrong there{': ' if ops else ''}{', '.join(ops)}")


def _rewrite(
    book: Path, out: Path, ops: str, change: Callable[[Rulebook, str, str, Laboratory], list[Rule]], as_json: bool
) -> None:
    """Write the book with other rules for the operators whose names match `ops`, and say which are other ones."""
    rulebook = Rulebook(book)
    names = rulebook.operators()
    changed: list[str] = []
    if out.resolve() != book.resolve():
        copy_title(book, out)
    with Laboratory() as laboratory:
        shown = with_progress((op for _, op in names), len(names), "trying")
        for (level, op), _ in zip(names, shown, strict=True):
            before = rulebook.rules(op, level)
            after = change(rulebook, op, level, laboratory) if matches(op, ops) else before
            changed += [op] if after != before else []
            if after != before or out.resolve() != book.resolve():
                write_rules(out, op, level, after)
    if as_json:
        print_json({"changed": changed})
    else:
        say(f"{len(changed):,} of {len(names):,} operators have other rules: {', '.join(changed)}")


@application.command()
def merge(
    left: Annotated[Path, typer.Argument(help="Folder of a rulebook, preferred where both are equal.")],
    right: Annotated[Path, typer.Argument(help="Folder of another rulebook, learned with another seed for example.")],
    corpora: Annotated[list[Path], typer.Argument(help="Folders of the corpora that decide which rules are better.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the rulebook to write.")],
    as_json: JsonOption = False,
) -> None:
    """Merge two rulebooks, keeping the better rules for each operator: exact on more calls and never wrong."""
    books = Rulebook(left), Rulebook(right)
    choices: list[MergeChoice] = []

    def names() -> Iterator[str]:
        for choice in merged(*books, tuple(map(str, corpora)), out):
            choices.append(choice)
            yield choice.op

    for _ in with_progress(names(), len({*books[0].operators(), *books[1].operators()}), "comparing"):
        pass
    if as_json:
        print_json([asdict(each) for each in choices])
        return
    taken = Counter(each.of for each in choices)
    say(", ".join(f"{number:,} of {name}" for name, number in taken.most_common()))
