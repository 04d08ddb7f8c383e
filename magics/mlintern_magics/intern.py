# pyright: basic
"""``%%intern`` starts or shows a session; ``%intern`` talks to it. Thin: ``session`` does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.display import display
from traitlets import Enum, Float, Int, TraitError, Tuple, Unicode, validate

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.options import MODES, OPTIONS, parse_default, parse_line, usage_text

if TYPE_CHECKING:
    from mlintern_jupyter.commands import Mode
    from mlintern_jupyter.config import Config
    from mlintern_jupyter.session.wiring.kernel_sessions import KernelSessions

_OPTION = {option.name: option for option in OPTIONS}
DEFAULTS = (
    "model",
    "research_model",
    "compaction_model",
    "fallback_model",
    "context",
    "tool",
    "tools",
    "mode",
    "budget",
    "hours",
    "max_steps",
    "max_tokens",
    "api_base",
)
VERBS = {
    "status": "where the intern stands (also without a word)",
    "next": "show what it wrote and its next code cell, where no page does (VS Code, Colab, shell)",
    "skip": "[reason]: refuse the code cell that `next` showed",
    "approve": "CALL: allow, once, what this call asks",
    "refuse": "[CALL] [reason]: say no to what it asks",
    "steer": "TEXT: tell it something; it reads this before its next step",
    "mode": "review | auto | unattended: switch while it works",
    "model": "[NAME] [--role main|research|compaction|fallback]: show the models, or switch one",
    "compact": "make room in the model's window before its next call",
    "pause": "no further model call until `continue`",
    "continue": "let a paused turn go on",
    "stop": "end its turn; cells and jobs go on",
    "panel": "buttons and a box for all of this (ipywidgets)",
    "resume": "[SESSION]: go on with an unfinished session; spends again",
    "sessions": "the sessions of this folder",
    "experiments": "[SESSION]: its trainings and evaluations",
    "cost": "[SESSION]: what it used, by kind of model call",
    "tools": "[+NAME] [-NAME]: what it can do and what of that asks you, or switch a toolset",
    "mcp": "the MCP servers, and what is wrong with one",
    "export": "[PATH]: the notebook, made again from the record",
    "help": "this list",
}


def _default(name: str) -> str:
    return f"Default of {_OPTION[name].flag}: {_OPTION[name].help}."


@magics_class
class InternMagics(Magics):
    """The magics of the intern.

    Defaults are set here (``%config InternMagics.model = "playbook"``), in
    ``ipython_kernel_config.py`` (``c.InternMagics.model = "playbook"``), or in the TOML file; an
    option on the line comes before all of them, and these before the file.
    """

    model = Unicode(None, allow_none=True, help=_default("model")).tag(config=True)
    research_model = Unicode(None, allow_none=True, help=_default("research_model")).tag(
        config=True
    )
    compaction_model = Unicode(None, allow_none=True, help=_default("compaction_model")).tag(
        config=True
    )
    fallback_model = Unicode(None, allow_none=True, help=_default("fallback_model")).tag(
        config=True
    )
    context = Int(None, allow_none=True, help=_default("context")).tag(config=True)
    tool = Tuple(None, allow_none=True, help=_default("tool")).tag(config=True)
    tools = Tuple(None, allow_none=True, help=_default("tools")).tag(config=True)
    mode = Enum(MODES, None, allow_none=True, help=_default("mode")).tag(config=True)
    budget = Float(None, allow_none=True, help=_default("budget")).tag(config=True)
    hours = Float(None, allow_none=True, help=_default("hours")).tag(config=True)
    max_steps = Int(None, allow_none=True, help=_default("max_steps")).tag(config=True)
    max_tokens = Int(None, allow_none=True, help=_default("max_tokens")).tag(config=True)
    api_base = Unicode(None, allow_none=True, help=_default("api_base")).tag(config=True)
    max_mode = Enum(
        MODES,
        "unattended",
        help="The most permissive mode allowed here: review, auto or unattended. No session runs "
        "above it, whatever else is said. It can be lowered in a running kernel, not raised. It "
        "keeps people from accidents; whoever may run code here can get around it.",
    ).tag(config=True)

    def __init__(
        self,
        shell: Any,
        kernel_sessions: Callable[[], KernelSessions],
        open_panel: Callable[[], None],
    ) -> None:
        self.kernel_sessions = kernel_sessions
        self.open_panel = open_panel
        self._cap: Mode = MODES[-1]
        super().__init__(shell)  # pyright: ignore[reportUnknownMemberType]

    @validate(*DEFAULTS)
    def _as_an_option(self, proposal: Any) -> Any:
        """The same values as on the line."""
        if proposal["value"] is None:
            return None
        try:
            return parse_default(_OPTION[proposal["trait"].name], proposal["value"])
        except UsageError as error:
            raise TraitError(error.what) from None

    @validate("max_mode")
    def _only_lower(self, proposal: Any) -> Any:
        # Not the trait's own value: while a configuration is loaded that is the new one already.
        if MODES.index(proposal["value"]) > MODES.index(self._cap):
            raise TraitError(
                f"max_mode is {self._cap} in this kernel and cannot be raised to"
                f" {proposal['value']}; change the configuration this kernel starts with"
            )
        self._cap = proposal["value"]
        return self._cap

    def configured(self, file: Config) -> Config:
        """The defaults of the file under those that were set here, and the cap."""
        said = {name: getattr(self, name) for name in DEFAULTS}
        return file.with_defaults({k: v for k, v in said.items() if v is not None}, self._cap)

    @no_var_expand
    @cell_magic
    def intern(self, line: str, cell: str) -> None:
        """Give the intern a goal. ``%%intern --help`` explains the options."""
        goal, options = parse_line(line)
        if options.help:
            print(usage_text())  # noqa: T201
            return
        source = f"%%intern {line}\n{cell}".rstrip()
        self._show(self.kernel_sessions().run_magic_cell(goal, cell, options, source))

    @no_var_expand
    @line_magic("intern")
    def intern_line(self, line: str) -> None:
        """Talk to the intern: ``%intern help`` lists what it understands."""
        word, _, rest = line.strip().partition(" ")
        if word == "help":
            print(verbs_text())  # noqa: T201
            return
        kernel_sessions = self.kernel_sessions()
        archive, verbs = kernel_sessions.archive, kernel_sessions.verbs
        actions: dict[str, Callable[[str], Any]] = {
            "": kernel_sessions.status,
            "status": kernel_sessions.status,
            "next": kernel_sessions.next,
            "skip": kernel_sessions.skip,
            "approve": verbs.approve,
            "refuse": verbs.refuse,
            "steer": verbs.steer,
            "mode": verbs.mode,
            "model": verbs.model,
            "compact": verbs.compact,
            "pause": verbs.pause,
            "continue": verbs.go_on,
            "stop": verbs.stop,
            "panel": lambda _: self.open_panel(),
            "resume": kernel_sessions.resume,
            "sessions": archive.sessions,
            "experiments": archive.experiments,
            "cost": archive.cost,
            "tools": verbs.tools,
            "mcp": verbs.mcp,
            "export": archive.export,
        }
        action = actions.get(word)
        if action is None:
            raise UsageError(
                f"there is no `%intern {word}`",
                do=f"%intern {' | '.join(VERBS)}; a goal needs a cell of its own:"
                f" `%%intern {line}`",
            )
        self._show(action(rest.strip()))

    def _show(self, shown: Any) -> None:
        """Text is printed; a bundle with a display id becomes the run card."""
        if isinstance(shown, str):
            print(shown)  # noqa: T201
        elif shown is not None:
            display(shown.bundle, raw=True, display_id=shown.display_id)


def verbs_text() -> str:
    """What ``%intern`` understands, one line each."""
    width = max(map(len, VERBS))
    lines = [f"  %intern {word:<{width}}  {about}" for word, about in VERBS.items()]
    return "\n".join([*lines, "", "a goal needs a cell of its own; `%%intern --help` explains it"])
