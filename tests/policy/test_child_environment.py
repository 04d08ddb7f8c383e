import os
import subprocess
import sys

import pytest

from mlintern_jupyter.child_environment import allowed
from mlintern_jupyter.policy.scrub import Scrubber

SECRETS = {
    "HF_TOKEN": "hf_secretsecretsecretsecretsecretsec",
    "OPENAI_API_KEY": "sk-canary-0001",
    "NVIDIA_API_KEY": "nvapi-canary-0002",
    "CUDA_LICENSE_SECRET": "canary-0003",
    "HTTPS_PROXY": "http://user:canary-0004@proxy:3128",
    "LC_PASSWORD": "canary-0005",
    "WANDB_API_KEY": "canary-0006",
}
HARMLESS = {"PATH": os.environ["PATH"], "CUDA_VISIBLE_DEVICES": "0", "LC_ALL": "C.UTF-8"}


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_among_what_a_child_gets(name):
    assert name not in allowed(SECRETS | HARMLESS)


def test_a_child_gets_what_it_needs_to_run_and_finds_no_secret():
    given = allowed(SECRETS | HARMLESS)
    assert given.items() >= HARMLESS.items()
    code = "import os; print(os.environ); print(open('/proc/self/environ').read())"
    told = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True
    ).stdout
    assert "CUDA_VISIBLE_DEVICES" in told
    assert not [value for value in SECRETS.values() if value in told]


class Changing(dict):
    """An environment out of which a cell deletes a variable while it is read."""

    def __iter__(self):
        names = list(super().__iter__())
        self.pop("LC_ALL", None)
        self.pop(next((n for n in names if n.endswith("_KEY")), ""), None)
        return iter(names)

    def items(self):
        return [(name, self[name]) for name in self]


def test_a_variable_that_goes_away_meanwhile_is_not_missed():
    assert "LC_ALL" not in allowed(Changing(HARMLESS))
    scrub = Scrubber(Changing(SECRETS))
    assert scrub.text("a text") == "a text"


def test_the_hub_library_in_a_child_sends_no_token_unasked_even_with_a_stored_login(tmp_path):
    (tmp_path / "token").write_text("hf_storedstoredstoredstoredstoredstored")
    given = allowed(HARMLESS | {"HF_HOME": str(tmp_path), "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0"})
    code = (
        "from huggingface_hub.utils import build_hf_headers as h;"
        "print('authorization' in h(), 'authorization' in h(token=True))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True
    ).stdout
    assert told.split() == ["False", "True"]
