"""Which model has which role, and the window made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlintern_jupyter.context.meter import Meter
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.events import Fact, ModelChanged
from mlintern_jupyter.models.factory import make_model
from mlintern_jupyter.models.names import LITELLM, ModelPlan, resolve
from mlintern_jupyter.protocols import Model
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.usage import Price

ASSUMED_CONTEXT = 32_768
"""Tokens; for a model whose server does not say how much it reads, said where it is used."""


class Roles:
    """Models by role, loaded when first needed and kept; used on the worker's thread."""

    def __init__(
        self, state: SessionState, commit: Callable[[Fact], int], env: Mapping[str, str]
    ) -> None:
        self._state = state
        self._commit = commit
        self._env = env
        self._meter = Meter()
        self._models: dict[str, Model] = {}
        self._windows: dict[tuple[str, str], Window] = {}

    async def model(self, role: str = "main") -> Model:
        """The model of a role; the main one where the role has none of its own.

        Raises:
            UsageError: there is no such model, or no key for it.
        """
        name = self._state.models.get(role) or self._state.models["main"]
        if name not in self._models:
            made = make_model(plan_of(self._state, name, self._env), env=self._env)
            await made.probe()
            self._models[name] = made
        return self._models[name]

    def window(self, model: Model, system: str) -> Window:
        """The window for this model and these instructions, on the counts that are known of it."""
        made = self._windows.get((model.name, system))
        if made is None:
            tokens = ASSUMED_CONTEXT if self.assumes(model) else model.context_tokens
            made = Window(system, tokens, self._meter, model.name)
            self._windows[model.name, system] = made
        return made

    def assumes(self, model: Model) -> bool:
        """Whether the size of a model's window is a guess of ours."""
        # A planner that is no language model reads everything; so may a model of one's own.
        listed = plan_of(self._state, model.name, self._env).load == LITELLM
        return listed and model.context_tokens is None

    def use_fallback(self, why: str, role: str = "main") -> bool:
        """Let the fallback have a role from here on; False where it has it, or there is none."""
        models = self._state.models
        fallback = models.get("fallback")
        if not fallback or fallback == (models.get(role) or models["main"]):
            return False
        self._commit(ModelChanged(role, fallback, why))
        return True


def plan_of(state: SessionState, name: str, env: Mapping[str, str]) -> ModelPlan:
    """How a model of this session is asked.

    What was said with ``--api-base`` is for every model of the first one's provider; a price and
    a context size are for the first model alone.

    Raises:
        UsageError: there is no such model, or no key for it.
    """
    first = state.options.get("first_model", state.model)
    price = state.options.get("price")
    same = name.partition("/")[0] == first.partition("/")[0]
    return resolve(
        name,
        api_base=state.options.get("api_base") if same else None,
        price=Price(**price) if price is not None and name == first else None,
        env=env,
        context=state.options.get("context") if name == first else None,
    )
