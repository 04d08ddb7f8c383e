"""Makes the model that a plan names, one's own class included.

A model of one's own is a class that implements ``protocols.Model``, named by its dotted path
(``--model package.module:Class``) and called with the plan alone. Its price is its own word unless
the person said one with ``--price``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

from mlintern_jupyter.errors import InternError, UsageError
from mlintern_jupyter.models.names import LITELLM, ModelPlan
from mlintern_jupyter.protocols import Model

_WANTED = ("name", "price", "unmetered", "context_tokens", "sees", "probe", "complete")


def make_model(plan: ModelPlan, *, env: Mapping[str, str] = os.environ) -> Model:
    """Import the plan's class and make its model. Heavy: litellm is imported here.

    Args:
        plan: As ``names.resolve`` made it.
        env: Where keys are read at each call; a model of one's own does not get it.

    Raises:
        UsageError: there is no such module or class, or it is no model; says what it lacks.
        ModelFailed: litellm cannot be used.
    """
    made = _class(plan)
    if plan.load == LITELLM:
        return made(plan, env=env)
    try:
        model: Any = made(plan)
    except InternError:
        raise
    except Exception as error:  # a person's own code raises whatever it likes
        raise _unfit(plan, f"{type(error).__name__}: {error}") from error
    lacking = [name for name in _WANTED if not hasattr(model, name)]
    if lacking:
        raise _unfit(plan, f"it has no {', '.join(lacking)}")
    if plan.price is not None:
        model.price = plan.price
    if plan.context_tokens is not None:
        model.context_tokens = plan.context_tokens
    return model


def _class(plan: ModelPlan) -> Any:
    module, _, name = plan.load.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except InternError:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or module
        if not f"{module}.".startswith(f"{missing}."):
            raise _unfit(plan, f"{module} needs the module {missing}, which is missing") from error
        raise UsageError(
            f"there is no module {missing!r} for --model {plan.name}",
            why=f"looked in {', '.join(filter(None, sys.path[:3])) or 'the current folder'}, ...",
            do="put it beside the notebook or install it; a provider's model is written "
            "provider/model",
        ) from error
    except AttributeError as error:
        raise _unfit(plan, f"{module} has no {name}") from error
    except Exception as error:  # a person's own module raises whatever it likes
        raise _unfit(plan, f"{module} cannot be imported: {error!r}") from error


def _unfit(plan: ModelPlan, why: str) -> UsageError:
    return UsageError(
        f"--model {plan.name} names no model",
        why=why,
        do="name a class with the members of mlintern_jupyter.protocols.Model; it is called with "
        "the plan alone",
    )
