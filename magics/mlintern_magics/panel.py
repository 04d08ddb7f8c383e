# pyright: basic
"""``%intern panel``: the sidebar's essentials as widgets, for front ends without the extension.

Nothing here is touched by another thread. It is drawn again when its button is pressed and after
each cell, both on the kernel's main thread.
"""

from __future__ import annotations

import contextlib
import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from mlintern_jupyter.errors import InternError
from mlintern_jupyter.session.readouts.page_view import session_view
from mlintern_jupyter.session.readouts.questions import ask_text
from mlintern_jupyter.session.wiring.kernel_sessions import KernelSessions

HONEST = (
    "While a cell runs, this kernel hears a click only when the cell ends; `%intern stop` in a cell"
    " waits just the same. Interrupting the cell is the front end's own button."
)


class Panel:
    """Status, the cell that waits, a box to steer, and buttons."""

    def __init__(self, ip: Any, kernel_sessions: Callable[[], KernelSessions]) -> None:
        self._ip = ip
        self._kernel_sessions = kernel_sessions
        self.status = widgets.HTML()
        self.pending = widgets.HTML()
        self.question = widgets.HTML()
        self.reason = widgets.Text(placeholder="why not (optional)")
        self.allow = self._button("Allow once", self._allow)
        self.refuse = self._button("Refuse", self._refuse)
        self._call = ""
        """The question that is shown: an answer is to it, whatever else was asked meanwhile."""
        self.said = widgets.HTML()
        self.steer = widgets.Text(placeholder="tell the intern something", continuous_update=False)
        self.tell = self._button("Steer", self._steer)
        self.stop = self._button("Stop", lambda kernel_sessions: kernel_sessions.verbs.stop())
        self.hold = self._button("Pause", self._pause_or_continue)
        self.refresh = self._button("Refresh", lambda kernel_sessions: "")
        self.box = widgets.VBox(
            [
                self.status,
                self.question,
                widgets.HBox([self.allow, self.refuse, self.reason]),
                self.pending,
                widgets.HBox([self.steer, self.tell]),
                widgets.HBox([self.hold, self.stop, self.refresh]),
                self.said,
                widgets.HTML(f"<small>{html.escape(HONEST)}</small>"),
            ]
        )
        ip.events.register("post_run_cell", self._after_cell)

    def show(self) -> None:
        """Draw it, and display it in the cell that runs."""
        self.draw()
        display(self.box)

    def close(self) -> None:
        """Take the hook out; what is displayed stays as it is."""
        with contextlib.suppress(ValueError):
            self._ip.events.unregister("post_run_cell", self._after_cell)
        self.box.close()

    def draw(self) -> None:
        """Show how things stand now."""
        kernel_sessions = self._kernel_sessions()
        view = None if kernel_sessions.session is None else session_view(kernel_sessions.session)
        self.status.value = _pre(kernel_sessions.status())
        waiting = view.pending if view is not None else ()
        asks = view.asks if view is not None and view.running else ()
        self._call = asks[0].call if asks else ""
        self.question.value = _pre(ask_text(asks[0]) if asks else "nothing is asked")
        for control in (self.allow, self.refuse, self.reason):
            control.disabled = not asks
        lines = [f"waits for you: {cell.kind} `{cell.first_line}` {cell.why}" for cell in waiting]
        self.pending.value = _pre("\n".join(lines) or "no cell waits for you")
        self.hold.description = "Continue" if view is not None and view.held else "Pause"
        working = view is not None and view.running
        for control in (self.steer, self.tell, self.stop, self.hold):
            control.disabled = not working

    def _button(self, label: str, act: Callable[[KernelSessions], str]) -> widgets.Button:
        button = widgets.Button(description=label)
        button.on_click(lambda _: self._do(act))
        return button

    def _do(self, act: Callable[[KernelSessions], str]) -> None:
        try:
            said = act(self._kernel_sessions())
        except InternError as error:
            said = str(error)
        self.said.value = _pre(said)
        self.draw()

    def _steer(self, kernel_sessions: KernelSessions) -> str:
        said = kernel_sessions.verbs.steer(self.steer.value.strip())
        self.steer.value = ""
        return said

    def _allow(self, kernel_sessions: KernelSessions) -> str:
        return kernel_sessions.verbs.answer(self._call, yes=True)

    def _refuse(self, kernel_sessions: KernelSessions) -> str:
        said = kernel_sessions.verbs.answer(self._call, yes=False, reason=self.reason.value.strip())
        self.reason.value = ""
        return said

    def _pause_or_continue(self, kernel_sessions: KernelSessions) -> str:
        session, verbs = kernel_sessions.session, kernel_sessions.verbs
        return (
            verbs.go_on() if session is not None and session.state.pause_reason else verbs.pause()
        )

    def _after_cell(self, _: Any) -> None:
        self.draw()


def _pre(text: str) -> str:
    return f"<pre style='white-space: pre-wrap'>{html.escape(text)}</pre>" if text else ""
