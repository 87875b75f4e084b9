"""A graph as people read it: Python source with metas and user's lines beside it, a networkx graph, DOT, JSON.

Only reads what builder.py and annotate.py put on the nodes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.fx import Graph, Node
from torch.fx.node import _get_qualified_name

from passes import python_operators
from passes.meta import TensorMeta
from passes.node_meta import LINE, META, line_of, result_meta, source_of
from passes.places import line_name
from tracer.source_text import source_line

if TYPE_CHECKING:
    import networkx

COMMENT_COLUMN: Final = 60
LONGEST_LINE: Final = 90
"""Characters that are shown of a line of the user's."""

INFIX: Final = {row.function: row.symbol for row in (*python_operators.BINARY, *python_operators.COMPARISONS)}
PREFIX: Final = {row.function: row.symbol for row in (*python_operators.UNARY, python_operators.NOT)}


def graph_source(graph: Graph, name: str = "graph") -> str:
    """The graph as a Python function, each value's meta and the user's lines in comments."""
    inputs = [f"{node.name}: {short(result_meta(node))}" for node in graph.find_nodes(op="placeholder")]
    lines = [filled(f"def {name}(", inputs, "):")]
    last = None
    for node in graph.nodes:
        if node.op in ("placeholder", "get_attr"):
            continue
        line = line_of(node)
        if line is not None and line is not last:
            lines.append(f"    # {user_line(node)}")
            last = line
        text = f"    {statement(node)}"
        meta = result_meta(node)
        lines.append(text if meta is None else f"{text:<{COMMENT_COLUMN}} # {long(meta)}")
    return "\n".join(lines) + "\n"


def filled(opening: str, parts: list[str], closing: str, indent: int = 0, width: int = 112) -> str:
    """A call or a header on one line, or its parts on as many lines as they need."""
    line = f"{opening}{', '.join(parts)}{closing}"
    if len(line) <= width:
        return line
    lines, margin = [opening], " " * (indent + 4)
    for part in parts:
        if lines[-1] == opening or len(lines[-1]) + len(part) + 2 > width:
            lines.append(f"{margin}{part},")
        else:
            lines[-1] += f" {part},"
    return "\n".join([*lines, f"{' ' * indent}{closing}"])


def runnable_source(graph: Graph, name: str = "graph") -> str:
    """`graph_source` as a module that can be run: its imports come first."""
    return module_source([graph], graph_source(graph, name))


def module_source(graphs: Iterable[Graph], functions: str) -> str:
    """A module with the functions of these graphs: the imports that they need come first."""
    nodes = (node for graph in graphs for node in graph.nodes)
    modules = {"torch", *(module for node in nodes for module in _modules(node) if module)}
    imports = "".join(f"import {module}\n" for module in sorted(modules))
    return f"from __future__ import annotations\n\n{imports}\n{functions}"


def statement(node: Node) -> str:
    """The call of a node as a line of Python."""
    if node.op == "output":
        return f"return {expression(node.args[0])}"
    call = _call(node)
    return f"{node.name} = {call}" if node.users else call


def user_line(node: Node) -> str:
    """Where the user's program made the node: `mlp.py:12 in forward   return F.relu(self.fc(x))`."""
    line = node.meta[LINE]
    text = source_line(line.file, line.line).strip()
    if len(text) > LONGEST_LINE:
        text = f"{text[:LONGEST_LINE]} ..."
    return f"{line_name(line.file, line.line)} in {line.function}   {text}".rstrip()


def line_for_debuggers(node: Node) -> str:
    """The call of a node with its meta and the user's line: `y = torch.relu(x)   # f32[2, 4]  mlp.py:12 in forward`."""
    line, meta = line_of(node), result_meta(node)
    place = "" if line is None else f"{line_name(line.file, line.line)} in {line.function}"
    comment = "  ".join(part for part in ("" if meta is None else long(meta), place) if part)
    return f"{statement(node):<{COMMENT_COLUMN}} # {comment}" if comment else statement(node)


def short(meta: Any) -> str:
    """A meta, or a structure of metas, by element type and shape: `f32[2, 16]`."""
    return _structure(meta, lambda part: part.name)


def long(meta: Any) -> str:
    """As `short`, with strides: `f32[2, 4] stride (4, 1)`."""
    return _structure(meta, lambda part: part.text)


def expression(value: Any) -> str:
    """Python source for an argument: nodes by name, constants spelled out."""
    if isinstance(value, Node):
        return value.name
    if isinstance(value, torch.Size):
        return f"torch.Size({list(value)})"
    if isinstance(value, list):
        return f"[{', '.join(map(expression, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(expression, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{expression(key)}: {expression(part)}' for key, part in value.items())}}}"
    if isinstance(value, slice):
        return f"slice({expression(value.start)}, {expression(value.stop)}, {expression(value.step)})"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, torch.device):
        return f"torch.{value!r}"
    if value is ...:
        return "..."
    return _get_qualified_name(value) if callable(value) and hasattr(value, "__qualname__") else repr(value)


def _call(node: Node) -> str:
    args, target = node.args, node.target
    if node.op == "call_method":
        return f"{expression(args[0])}.{target}({_arguments(args[1:], node.kwargs)})"
    if node.op == "call_module":
        return f"{target}({_arguments(args, node.kwargs)})"
    form = _operator_form(node)
    return f"{_function(target)}({_arguments(args, node.kwargs)})" if form is None else form


def _operator_form(node: Node) -> str | None:
    """A call of a function for which Python has an operator or a statement of its own, written so; else None."""
    args, target = node.args, node.target
    if target in INFIX and len(args) == 2:
        left, right = map(expression, args)
        if target is operator.pow and left.startswith("-"):
            left = f"({left})"  # `-2 ** x` is `-(2 ** x)`
        return f"{left} {INFIX[target]} {right}"  # type: ignore[index]
    if target in PREFIX:
        return f"{PREFIX[target]}{expression(args[0])}"  # type: ignore[index]
    if target is operator.getitem:
        return f"{expression(args[0])}[{_index(args[1], expression(args[1]))}]"
    if target is operator.setitem and not node.users:
        return f"{expression(args[0])}[{_index(args[1], expression(args[1]))}] = {expression(args[2])}"
    if target is getattr and len(args) == 2:
        return f"{expression(args[0])}.{args[1]}"
    return None


def _function(target: Any) -> str:
    """A function by its module and name."""
    name = _get_qualified_name(target)
    return name.removeprefix("_") if name.startswith("_operator.") else name


def _arguments(args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    return ", ".join([*map(expression, args), *(f"{name}={expression(value)}" for name, value in kwargs.items())])


def _index(index: Any, text: str) -> str:
    """What stands between the brackets: slices as `1:`, a tuple without its parentheses."""
    if isinstance(index, slice):
        start, stop, step = ("" if part is None else expression(part) for part in (index.start, index.stop, index.step))
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"
    if type(index) is tuple and len(index) > 1:
        return ", ".join(_index(part, expression(part)) for part in index)
    if type(index) is tuple and index:
        return f"{_index(index[0], expression(index[0]))},"
    return text


def _structure(meta: Any, text: Any) -> str:
    if isinstance(meta, TensorMeta):
        return text(meta)
    if isinstance(meta, tuple | list) and not isinstance(meta, torch.Size):
        inside = ", ".join(_structure(part, text) for part in meta)
        return f"[{inside}]" if isinstance(meta, list) else f"({inside})"
    if isinstance(meta, dict):
        return f"{{{', '.join(f'{key!r}: {_structure(part, text)}' for key, part in meta.items())}}}"
    return "int" if isinstance(meta, torch.SymInt) else "float" if type(meta) is float else repr(meta)


def _modules(node: Node) -> Iterator[str]:
    """The modules that the source of a node mentions."""
    if node.op == "call_function" and _operator_form(node) is None:
        yield _function(node.target).rpartition(".")[0].partition(".")[0]


def rows(graph: Graph) -> list[dict[str, Any]]:
    """The graph as plain data: a row a node, ready for JSON."""
    return [
        {
            "name": node.name,
            "kind": node.op,
            "target": _target_text(node),
            "source": source_of(node),
            "code": None if node.op in ("placeholder", "get_attr") else statement(node),
            "meta": long(node.meta[META]) if result_meta(node) is not None else None,
            "line": user_line(node) if line_of(node) is not None else None,
            "inputs": [used.name for used in node.all_input_nodes],
        }
        for node in graph.nodes
    ]


def to_networkx(graph: Graph) -> networkx.DiGraph[str]:
    """The data flow as a networkx.DiGraph: nodes carry what `rows` says of them, edges go from maker to user."""
    import networkx  # only who asks for it pays for it

    network = networkx.DiGraph()
    for row in rows(graph):
        network.add_node(row["name"], **{key: row[key] for key in ("kind", "target", "source", "code", "meta", "line")})
        network.add_edges_from((used, row["name"]) for used in row["inputs"])
    return network


def dot(graph: Graph) -> str:
    """The data flow in Graphviz's language."""
    lines = ["digraph graph_ {", "    node [shape=box, fontname=monospace];"]
    for row in rows(graph):
        label = "\\n".join(part for part in (row["code"] or row["source"] or row["name"], row["meta"]) if part)
        lines.append(f'    {row["name"]} [label="{_quoted(label)}"];')
        lines += [f"    {used} -> {row['name']};" for used in row["inputs"]]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(label: str) -> str:
    return label.replace('"', '\\"')


def _target_text(node: Node) -> str:
    return node.target if isinstance(node.target, str) else _get_qualified_name(node.target)
