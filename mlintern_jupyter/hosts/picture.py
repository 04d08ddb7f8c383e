# pyright: basic
"""A PNG of a plotly figure, drawn by matplotlib: no browser, for records read without JavaScript.

Draws ``scatter`` and ``bar`` traces with error bars, a second y axis and horizontal lines; a trace
of another type is named in the picture instead of being left out silently.

As a program (``python -m mlintern_jupyter.hosts.picture``) it reads a JSON list from its standard
input, plotly figures and base64 pictures, and writes a list of as many base64 PNG files small
enough for a model, ``null`` where one could not be made. A process of its own, because neither
drawing nor decoding what a notebook holds has a bound in time or memory that a kernel could keep.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import resource
import sys
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from mlintern_jupyter.hosts.figure_text import text_of
from mlintern_jupyter.messages import PICTURE_BASE64_LIMIT, PICTURE_LONGEST_SIDE

WIDTH_IN, HEIGHT_IN, DPI = 7.0, 4.2, 100
_LABELS_FIT = 60
"""Characters of bar names that fit side by side; more are written at a slant."""
_PIXELS_LIMIT = 40_000_000
_MEMORY_LIMIT = 4 * 1024**3


def png_of(figure: dict[str, Any]) -> str:
    """Base64 PNG of a figure given as plotly's JSON."""
    layout = figure.get("layout", {})
    canvas = Figure(figsize=(WIDTH_IN, HEIGHT_IN), dpi=DPI, layout="constrained")
    FigureCanvasAgg(canvas)
    left = canvas.add_subplot()
    right = left.twinx() if any(t.get("yaxis") == "y2" for t in figure["data"]) else None
    left.set_title(text_of(layout.get("title")), fontsize=11)
    left.set_xlabel(text_of(layout.get("xaxis", {}).get("title")))
    _axis(left, layout.get("yaxis", {}))
    if right is not None:
        _axis(right, layout.get("yaxis2", {}))
    left.grid(axis="y", alpha=0.3)
    bars = [t for t in figure["data"] if t.get("type") == "bar"]
    for number, trace in enumerate(figure["data"]):
        axes = right if right is not None and trace.get("yaxis") == "y2" else left
        style = {"color": f"C{number % 10}", "label": trace.get("name")}
        kind = trace.get("type", "scatter")
        if kind == "bar":
            _bar(axes, trace, style, bars.index(trace), len(bars))
        elif kind == "scatter":
            _scatter(axes, trace, style)
        else:
            left.plot([], [], label=f"{trace.get('name') or kind} (a {kind}: not drawn here)")
    for shape in layout.get("shapes", ()):
        if shape.get("type") == "line" and shape.get("y0") == shape.get("y1"):
            left.axhline(shape["y0"], color="grey", linewidth=1, linestyle="--")
    _legend(left, right)
    out = io.BytesIO()
    # Without the software's name and version, so that equal figures are equal bytes.
    canvas.savefig(out, format="png", metadata={"Software": None})
    return base64.b64encode(out.getvalue()).decode()


def _axis(axes: Any, given: dict[str, Any]) -> None:
    axes.set_ylabel(text_of(given.get("title")))
    if given.get("type") == "log":
        axes.set_yscale("log")
    elif given.get("range"):
        axes.set_ylim(*given["range"])


def _legend(left: Any, right: Any) -> None:
    handles, labels = left.get_legend_handles_labels()
    if right is not None:
        more, names = right.get_legend_handles_labels()
        handles, labels = handles + more, labels + names
    if labels:
        left.legend(handles, labels, fontsize=8)


def _scatter(axes: Any, trace: dict[str, Any], style: dict[str, Any]) -> None:
    x, y = _numbers(trace.get("x")), _numbers(trace.get("y"))
    x = x if len(x) else np.arange(len(y))
    mode = trace.get("mode") or "lines"
    axes.errorbar(
        x,
        y,
        yerr=_errors(trace.get("error_y")),
        linestyle="-" if "lines" in mode else "none",
        marker="o" if "markers" in mode else None,
        markersize=4,
        capsize=3,
        **style,
    )


def _bar(axes: Any, trace: dict[str, Any], style: dict[str, Any], place: int, of: int) -> None:
    names = [str(v) for v in _numbers(trace.get("x"))]
    width = 0.8 / of
    at = np.arange(len(names)) + (place - (of - 1) / 2) * width
    y = _numbers(trace.get("y"))
    axes.bar(at, y, width, yerr=_errors(trace.get("error_y")), capsize=4, **style)
    axes.set_xticks(np.arange(len(names)), names)
    if sum(map(len, names)) > _LABELS_FIT:
        axes.tick_params(axis="x", labelrotation=20)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")


def _errors(given: dict[str, Any] | None) -> Any:
    if not given or given.get("array") is None:
        return None
    up = _numbers(given["array"])
    down = _numbers(given["arrayminus"]) if given.get("arrayminus") is not None else up
    return np.stack([np.abs(down), np.abs(up)])


def _numbers(values: Any) -> Any:
    """Values of a trace; plotly writes numpy arrays as base64 with their type."""
    if isinstance(values, dict) and "bdata" in values:
        return np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
    if values is None:
        return np.array([])
    return np.array([np.nan if v is None else v for v in values])


def small_png(picture: bytes) -> str | None:
    """A PNG, JPEG or WebP file as base64 PNG within both limits; ``None`` when it gets too small.

    Raises:
        OSError: it is not such a file.
        ValueError: it has more pixels than are decoded here.
    """
    with Image.open(io.BytesIO(picture), formats=("PNG", "JPEG", "WEBP")) as opened:
        if opened.width * opened.height > _PIXELS_LIMIT:
            raise ValueError(f"{opened.width} x {opened.height} pixels")
        image = opened.convert("RGBA" if "A" in opened.getbands() else "RGB")
    for side in (PICTURE_LONGEST_SIDE, PICTURE_LONGEST_SIDE // 2, PICTURE_LONGEST_SIDE // 4):
        image.thumbnail((side, side))
        out = io.BytesIO()
        image.save(out, format="PNG", optimize=True)
        encoded = base64.b64encode(out.getvalue()).decode()
        if len(encoded) <= PICTURE_BASE64_LIMIT:
            return encoded
    return None


def main() -> None:
    """Make pictures for a model; see the module's docstring."""
    # A picture that unpacks into more than there is must end this process, not the machine.
    with contextlib.suppress(OSError, ValueError):  # some systems have no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))
    made = [_for_model(given) for given in json.load(sys.stdin)]
    json.dump(made, sys.stdout)


def _for_model(given: Any) -> str | None:
    # Whatever is wrong with one of them, the others can still be shown.
    with contextlib.suppress(Exception):
        png = png_of(given) if isinstance(given, dict) else given
        return small_png(base64.b64decode(png))
    return None


if __name__ == "__main__":
    main()
