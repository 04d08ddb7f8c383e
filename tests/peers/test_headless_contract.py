from __future__ import annotations

import asyncio

from peer_contract import STUB_FOLDER, PeerContract

from mlintern_jupyter.peers.headless import HeadlessNotebook

ENV = {"PYTHONPATH": f"{STUB_FOLDER}:{STUB_FOLDER.parents[1]}"}


class TestHeadless(PeerContract):
    def run(self, folder, cells):
        said = []
        notebook = HeadlessNotebook(
            folder / "n.ipynb",
            cells=cells,
            on_event=said.append,
            say=lambda line: print("said:", line),
            kernel_env=ENV,
        )
        result = asyncio.run(notebook.run())
        assert not result.kernel_died
        assert result.turn_ended is not None
        return result.path
