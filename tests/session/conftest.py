"""One kernel for all files that ask for no more than a kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kernel_peer import KernelPeer


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelPeer]:
    """A kernel that has run before; ``kernel_peer.loaded`` makes it fit for the next test."""
    folder = tmp_path_factory.mktemp("kernel")
    # It outlives the environment that each test is given.
    with KernelPeer(folder, {"MLINTERN_CONFIG": str(folder / "no-config.toml")}) as peer:
        yield peer
