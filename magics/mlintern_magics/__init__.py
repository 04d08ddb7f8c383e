"""The magics: ``%%intern``, ``%intern``, ``%%job``, ``%jobs``.

``%load_ext mlintern_jupyter`` comes here. Loading registers the magics and the kernel's end of the
wire; it starts no thread, writes no file and imports nothing heavy. What sessions are made of is
loaded when it is first needed: by a magic, or by a page that shows the sidebar.
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any, cast

from mlintern_jupyter.config import Config, load_config
from mlintern_jupyter.hosts import plots
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.wire import Ping
from mlintern_magics.cell_text import empty_body
from mlintern_magics.completion import intern_matcher
from mlintern_magics.intern import InternMagics
from mlintern_magics.jobs import JobMagics, session_budget

if TYPE_CHECKING:
    from mlintern_jupyter.jobs import SessionBudget
    from mlintern_jupyter.session.wiring.kernel_sessions import KernelSessions
    from mlintern_jupyter.views import KernelView
    from mlintern_magics.panel import Panel

_LOADED: dict[int, Extension] = {}


class Extension:
    """What is loaded into one shell: the wire at once, sessions at the first request."""

    def __init__(self, ip: Any) -> None:
        self.ip = ip
        self.bridge = Bridge(ip, on_command=self._command, status=self._status, view=self._view)
        self.magics = InternMagics(ip, self.kernel_sessions, self._open_panel)
        self._plots_undone = plots.register(ip, png=self._nobody_draws)
        self._kernel_sessions: KernelSessions | None = None
        self._entering = threading.Lock()
        self._panel: Panel | None = None

    def kernel_sessions(self) -> KernelSessions:
        """The kernel's sessions; called by the main and the control thread."""
        with self._entering:
            if self._kernel_sessions is None:
                module = importlib.import_module("mlintern_jupyter.session.wiring.kernel_sessions")
                made = module.KernelSessions(self.ip, self.bridge, self._config)
                self._kernel_sessions = cast("KernelSessions", made)
            return self._kernel_sessions

    def close(self) -> None:
        """Stop what runs and take the hooks out."""
        if self._panel is not None:
            self._panel.close()
        if self._kernel_sessions is not None:
            self._kernel_sessions.close()
        self._plots_undone()
        self.bridge.close()

    def _config(self) -> Config:
        return self.magics.configured(load_config())

    def _open_panel(self) -> None:
        if self._panel is not None:
            self._panel.close()
        panel = importlib.import_module("mlintern_magics.panel")
        self._panel = cast("Panel", panel.Panel(self.ip, self.kernel_sessions))
        self._panel.show()

    def _nobody_draws(self) -> bool:
        """Whether no page draws this notebook's figures: headless, nbclient, papermill."""
        return self.bridge.peer == "headless" or not self.bridge.current_cell_id

    def budget(self) -> SessionBudget | None:
        """Of the unattended session whose cell runs now; ``None`` if it is a person's."""
        session = None if self._kernel_sessions is None else self._kernel_sessions.session
        return session and session_budget(session, self.bridge.current_cell_id)

    def _command(self, session: str, command: dict[str, Any]) -> None:
        self.kernel_sessions().command(session, command)

    def _status(self) -> dict[str, Any]:
        return {"active": [] if self._kernel_sessions is None else self._kernel_sessions.active()}

    def _view(self) -> KernelView:
        return self.kernel_sessions().view()


def load(ip: Any) -> None:
    """Register everything with a shell; loading twice is loading once."""
    if id(ip) in _LOADED:
        return
    extension = Extension(ip)
    ip.register_magics(extension.magics)
    ip.register_magics(JobMagics(ip, extension.budget))
    # A cell magic with nothing below its line is a UsageError in IPython before it reaches us.
    ip.input_transformers_cleanup.append(empty_body)
    ip.Completer.custom_matchers.append(intern_matcher)
    _LOADED[id(ip)] = extension
    # A page that found nobody here, or the extension from before, asks again.
    extension.bridge.say(Ping())


def unload(ip: Any) -> None:
    """Undo ``load``; a running session is stopped first."""
    extension = _LOADED.pop(id(ip), None)
    if extension is None:
        return
    extension.close()
    for hooks, hook in (
        (ip.input_transformers_cleanup, empty_body),
        (ip.Completer.custom_matchers, intern_matcher),
        (ip.configurables, extension.magics),
    ):
        if hook in hooks:
            hooks.remove(hook)
    for kind, names in (("cell", ("intern", "job")), ("line", ("intern", "jobs"))):
        for name in names:
            ip.magics_manager.magics[kind].pop(name, None)
