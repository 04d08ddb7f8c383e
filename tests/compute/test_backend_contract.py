"""One suite over every backend: this machine, the kernel, the fake one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlintern_jupyter.compute.local.backend import LocalBackend
from mlintern_jupyter.compute.local.kernel import KernelBackend
from mlintern_jupyter.protocols import Backend, JobPlace
from mlintern_jupyter.testing.backend_contract import (
    OUTCOMES,
    BackendContract,
    DetachedBackendContract,
)
from mlintern_jupyter.testing.fake_backend import FakeBackend, FakeEngine


class TestLocal(DetachedBackendContract):
    def backend(self, place: JobPlace) -> Backend:
        return LocalBackend(place)


class TestKernel(BackendContract):
    def backend(self, place: JobPlace) -> Backend:
        return KernelBackend(place)


class TestFake(DetachedBackendContract):
    @pytest.fixture(autouse=True)
    def engine(self) -> Iterator[FakeEngine]:
        self._engine = FakeEngine(OUTCOMES)
        yield self._engine
        self._engine.close()

    def backend(self, place: JobPlace) -> Backend:
        return FakeBackend(place, self._engine)
