"""How plotly figures are shown: as JSON, which JupyterLab draws, and in headless runs as a PNG too.

A cell ends with ``fig``. Nothing here imports plotly or matplotlib until a figure is shown: the
formatter is registered by the type's name. Not covered: ``fig.show()``, which asks plotly's own
renderers, and chart types other than ``scatter`` and ``bar`` in the PNG (``picture.py`` says so in
the picture).
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

from mlintern_jupyter.hosts.figure_text import described

PLOTLY_MIME = "application/vnd.plotly.v1+json"
_FIGURE = ("plotly.basedatatypes", "BaseFigure")


def register(ip: Any, png: Callable[[], bool]) -> Callable[[], None]:
    """Show figures of this shell our way.

    Args:
        ip: The IPython shell.
        png: Whether to add a picture now. For headless runs only: JupyterLab shows a PNG from the
            kernel instead of the live plot, and makes one itself when it saves.

    Returns:
        A function that undoes it.
    """
    formatter = ip.display_formatter.ipython_display_formatter

    def show(figure: Any) -> None:
        ip.display_pub.publish(data=bundle_of(json.loads(figure.to_json()), png=png()), metadata={})

    # Plotly's own `_ipython_display_` comes before every MIME formatter, so only a printer of the
    # same formatter is asked before it.
    formatter.for_type_by_name(*_FIGURE, show)

    def undo() -> None:
        formatter.deferred_printers.pop(_FIGURE, None)
        for cls in [c for c in formatter.type_printers if (c.__module__, c.__name__) == _FIGURE]:
            del formatter.type_printers[cls]

    return undo


def bundle_of(figure: dict[str, Any], png: bool) -> dict[str, Any]:
    """MIME bundle of a figure given as plotly's JSON: the JSON, a line of text, perhaps a PNG."""
    bundle: dict[str, Any] = {PLOTLY_MIME: figure, "text/plain": described(figure)}
    if png:
        picture = importlib.import_module("mlintern_jupyter.hosts.picture")
        bundle["image/png"] = picture.png_of(figure)
    return bundle
