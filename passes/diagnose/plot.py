"""The plot of a diagnosis: gradient norms layer by layer, shares of idle units. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, Final

from passes.diagnose.findings import TrainingFinding
from passes.diagnose.measure import Record

FEW: Final = 30  # bars, whose labels have room for letters of the usual size
MISSING = "plots need matplotlib: pip install 'bytegraph[plot]'"


def draw(records: Sequence[Record], findings: Sequence[TrainingFinding], path: str | PathLike[str]) -> None:
    """Write the plot to `path`, in the format its suffix names. Raises ImportError that says what to install."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(MISSING) from error
    wrong = {finding.name.partition(" (")[0] for finding in findings}
    layers = [record for record in records if record.weights and record.norm is not None]
    units = [record for record in records if record.fault]
    figure = Figure(figsize=(10, 7), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1)
    _bars(upper, layers, [record.norm or 0.0 for record in layers], wrong)
    upper.set(
        title="norm of the gradient at each layer's output", yscale="log" if any(r.norm for r in layers) else "linear"
    )
    _bars(lower, units, [record.share for record in units], wrong)
    lower.set(title="share of idle units (saturated, dead, cut off)", ylim=(0, 1))
    figure.savefig(path)


def _bars(axes: Any, records: Sequence[Record], heights: Sequence[float], wrong: set[str]) -> None:
    colours = ["tab:red" if record.name in wrong else "tab:blue" for record in records]
    axes.bar(range(len(records)), heights, color=colours)
    axes.set_xticks(
        range(len(records)), [record.name for record in records], rotation=90, fontsize=9 if len(records) <= FEW else 6
    )
