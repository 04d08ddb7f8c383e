"""Which backend a name of ``--on`` means: a built-in one, or an installed package's.

A package offers one by an entry point of the group ``mlintern_jupyter.backends``, whose name is
what stands before the colon of ``--on``. A built-in name cannot be taken over.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import BUILT_IN_BACKENDS, JobSpec, no_such_place
from mlintern_jupyter.protocols import Backend, JobPlace, Offer

GROUP = "mlintern_jupyter.backends"
_LATER = frozenset({"hf", "slurm"})


def backend_of(spec: JobSpec, place: JobPlace) -> Backend:
    """The backend that a job asks for.

    Raises:
        UsageError: there is none of that name, or its package cannot be loaded.
    """
    name = spec.backend
    if name in BUILT_IN_BACKENDS:
        module, _, made = BUILT_IN_BACKENDS[name].partition(":")
        return _made(getattr(importlib.import_module(module), made), place)
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise _unknown(spec.on, name)
    return _made(_loaded(next(iter(found))), place)


def offer_of(spec: JobSpec, backend: Backend) -> Offer:
    """What the place costs that a job asks for.

    Raises:
        UsageError: the backend has no such place; lists those it has.
    """
    offers = backend.offers()
    for offer in offers:
        if offer.target == spec.target:
            return offer
    if spec.backend in BUILT_IN_BACKENDS:
        raise no_such_place(spec.on)
    places = [f"--on {spec.backend}:{o.target}".removesuffix(":") for o in offers]
    raise UsageError(
        f"there is no place {spec.on} to run a job on",
        do=f"use {' or '.join(places)}" if places else f"{spec.backend} has no place now",
    )


def _made(factory: object, place: JobPlace) -> Backend:
    return cast("Callable[[JobPlace], Backend]", factory)(place)


def _loaded(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except Exception as error:
        # Whatever a package of somebody else raises while it is imported, it is not a place to run.
        package = entry.dist.name if entry.dist else entry.value
        raise UsageError(
            f"the backend {entry.name} cannot be loaded from {package}",
            why=f"{type(error).__name__}: {error}",
            do="correct or remove that package, or use --on local",
        ) from error


def _unknown(on: str, name: str) -> UsageError:
    if name in _LATER:
        return UsageError(
            f"--on {on} is not in this version",
            why="jobs run on this machine",
            do="use --on local; on a cluster, open the notebook on the node with the GPU",
        )
    return no_such_place(on, tuple(sorted({entry.name for entry in entry_points(group=GROUP)})))
