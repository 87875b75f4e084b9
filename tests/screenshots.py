"""Pictures of the report page, for people to look at: `make screenshots` writes them below build/screenshots.

They show GPT-2, a model with three breaks, and a function that is captured again and again.
"""

import subprocess
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from tests.test_report_page import BROWSER
from tracer import capture, explain, graph_break

FOLDER = Path(__file__).parent.parent / "build" / "screenshots"
WIDTHS = (1280, 400)
HEIGHT = 900
THEMES = ("light", "dark")


def gpt2():
    """A transformer of twelve layers that are alike, in one graph."""
    model = GPT2LMHeadModel(GPT2Config(n_layer=12, n_embd=32, n_head=2, vocab_size=99, n_positions=64)).eval()
    return explain(model, torch.zeros(1, 8, dtype=torch.long)), (
        "overview",
        "capture-0/graph",
        "capture-0/operators",
        "capture-0/memory",
        "capture-0/guards",
    )


def three_breaks():
    """A branch on data, a number read from a tensor that chooses a layer, and a break that was asked for."""

    def step(x):
        if x.sum() > 0:
            x = x + 1
        graph_break()
        scale = [2.0, 3.0][x.argmax()]
        return x * scale

    return explain(step, torch.ones(2)), ("overview", "capture-0/program")


def storm():
    """Captures of a function whose argument is another object at each call, up to the limit and beyond."""

    def step(x, words):
        return x + len(words)

    captured = capture(step)
    for count in range(10):
        captured(torch.ones(2), "word" * count)
    return explain(captured, torch.ones(2), "one more"), ("overview", "capture-1/guards")


def pictures(name, page, address):
    """One picture for each width and theme. A window is at least 500 wide, so that a narrow page is a frame in one."""
    for theme in THEMES:
        file = FOLDER / f"{name}-{theme}.html"
        file.write_text(page.replace('<html lang="en">', f'<html lang="en" data-theme="{theme}">'))
        for width in WIDTHS:
            frame = FOLDER / "frame.html"
            style = f"width: {width}px; height: {HEIGHT}px; border: 0"
            frame.write_text(f'<body style="margin: 0"><iframe src="{file.name}#{address}" style="{style}"></iframe>')
            picture = FOLDER / f"{name}-{address.replace('/', '-')}-{width}-{theme}.png"
            options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=2000"]
            options += [f"--window-size={max(width, 500)},{HEIGHT}", f"--screenshot={picture}"]
            subprocess.run([BROWSER, *options, frame.as_uri()], check=True, capture_output=True)
            print(picture, flush=True)


def main():
    assert BROWSER, "no chromium is installed to open the pages in"
    FOLDER.mkdir(parents=True, exist_ok=True)
    for subject in (storm, three_breaks, gpt2):
        explanation, addresses = subject()
        for address in addresses:
            pictures(subject.__name__, explanation.to_html(title=subject.__name__), address)


if __name__ == "__main__":
    main()
