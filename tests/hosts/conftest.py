from __future__ import annotations

import pytest
from hand_peer import HandPeer


@pytest.fixture
def peer(tmp_path):
    peer = HandPeer(tmp_path)
    yield peer
    peer.close()


@pytest.fixture
def loaded(peer):
    peer.load()
    return peer
