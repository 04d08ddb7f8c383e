"""What is missing here is said whole, at once, and without touching a secret."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlintern_jupyter.bench import catalogue
from mlintern_jupyter.bench import readiness as readiness_module
from mlintern_jupyter.bench.catalogue import Benchmark
from mlintern_jupyter.bench.readiness import (
    Readiness,
    check,
    probe_machine,
)
from mlintern_jupyter.errors import InternError, UsageError
from mlintern_jupyter.tools.catalog import missing_abilities

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers is seen to answer, however busy the machine is."""
    monkeypatch.setattr(readiness_module, "CONNECT_TIMEOUT_S", 60.0)
    monkeypatch.setattr(readiness_module, "_SMI_TIMEOUT_S", 60.0)


@pytest.fixture
def hub() -> Iterator[str]:
    """A port that accepts connections, as the Hub's would."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed() -> Iterator[str]:
    """The address of a port nobody listens on, and that nobody else is given meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def gpu(tmp_path: Path) -> str:
    """A PATH with an nvidia-smi that answers as one H100 and one small card do."""
    return _smi(tmp_path, "81559\\n8192")


def _smi(folder: Path, answer: str) -> str:
    place = folder / "bin"
    place.mkdir(exist_ok=True)
    program = place / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{answer}\\n'\n")
    program.chmod(0o755)
    return str(place)


def _env(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "empty"), **more}


def _gpqa(**needs: object) -> Benchmark:
    found = catalogue.find("GPQA")
    light = {"packages": (), "harness_packages": (), "disk_gb": 0.001, **needs}
    return replace(found, needs=replace(found.needs, **light))


def _check(
    benchmark: Benchmark, env: dict[str, str], problems: tuple[InternError, ...] = ()
) -> Readiness:
    return check(benchmark, problems, env, probe_machine(env), missing_abilities())


def _what(readiness: Readiness) -> str:
    return "; ".join(need.what for need in readiness.missing)


def test_a_machine_with_everything_may_start_and_hears_what_this_version_lacks(
    tmp_path: Path, hub: str, gpu: str
) -> None:
    env = _env(tmp_path, PATH=gpu, HF_ENDPOINT=hub, HF_TOKEN="hf_x")
    readiness = _check(_gpqa(), env)
    assert readiness.ready, readiness.as_text()
    said = "\n".join(readiness.notes())
    for ability in readiness.abilities_missing:
        assert ability in said
    assert "$8 to $63" in said
    assert "cannot be checked from here" in said


def test_a_bare_machine_is_told_everything_at_once(tmp_path: Path, closed: str) -> None:
    benchmark = _gpqa(packages=("no_such_trainer",), harness_packages=("no_such_harness",))
    key = UsageError("ANTHROPIC_API_KEY is not set", why="the model needs it", do="set it")
    readiness = _check(benchmark, _env(tmp_path, HF_ENDPOINT=closed), (key,))
    assert not readiness.ready
    assert _what(readiness) == (
        "ANTHROPIC_API_KEY is not set; a GPU with 16 GB or more; "
        f"the Hub at {closed}; a Hugging Face token; "
        "Python packages: no_such_trainer; the evaluation package: no_such_harness"
    )
    text = readiness.as_text()
    for need in readiness.missing:
        assert need.what in text
        assert need.why in text
        assert need.how in text
    assert "%%intern improve nano/mcq --model playbook" in text
    assert "https://huggingface.co/datasets/Idavidrein/gpqa" in text
    assert "3 to 10 hours" in text


def test_a_gpu_that_is_too_small_is_named_with_its_size(tmp_path: Path, hub: str) -> None:
    env = _env(tmp_path, PATH=_smi(tmp_path, "8192"), HF_ENDPOINT=hub, HF_TOKEN="hf_x")
    readiness = _check(_gpqa(), env)
    assert [need.why for need in readiness.missing] == ["the largest here has 8 GB"]


def test_a_hidden_gpu_counts_as_none_and_the_variable_is_named(
    tmp_path: Path, hub: str, gpu: str
) -> None:
    env = _env(tmp_path, PATH=gpu, HF_ENDPOINT=hub, HF_TOKEN="x", CUDA_VISIBLE_DEVICES="")
    readiness = _check(_gpqa(), env)
    assert [need.why for need in readiness.missing] == ["CUDA_VISIBLE_DEVICES hides every GPU"]


def test_an_nvidia_smi_that_fails_is_not_a_gpu(tmp_path: Path, hub: str) -> None:
    env = _env(
        tmp_path, PATH=_smi(tmp_path, "No devices were found"), HF_ENDPOINT=hub, HF_TOKEN="x"
    )
    assert "a GPU" in _what(_check(_gpqa(), env))


@pytest.mark.parametrize(
    ("variables", "there"),
    [
        ({}, False),
        ({"HF_TOKEN": "  "}, False),
        ({"HF_TOKEN": "hf_secret"}, True),
        ({"HUGGING_FACE_HUB_TOKEN": "hf_secret"}, True),
        ({"HF_HOME": "{tmp}/hub"}, True),
        ({"HF_TOKEN_PATH": "{tmp}/hub/token"}, True),
        ({"HF_HOME": "{tmp}/elsewhere"}, False),
    ],
)
def test_a_token_is_looked_for_where_the_hub_client_looks(
    variables: dict[str, str], there: bool, tmp_path: Path
) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "token").write_text("hf_secret")
    env = _env(tmp_path, **{k: v.format(tmp=tmp_path) for k, v in variables.items()})
    assert probe_machine(env).has_token() is there


def test_a_token_file_is_never_read(tmp_path: Path, closed: str) -> None:
    secret = tmp_path / "token"
    os.mkfifo(secret)
    # Reading a pipe without a writer would never return; its size is 0, so no token is claimed.
    env = _env(tmp_path, HF_TOKEN_PATH=str(secret), HF_ENDPOINT=closed)
    done = threading.Event()

    def look() -> None:
        probe_machine(env).has_token()
        done.set()

    threading.Thread(target=look, daemon=True).start()
    assert done.wait(60)


def test_the_value_of_a_token_is_nowhere_in_the_text(tmp_path: Path, closed: str) -> None:
    env = _env(tmp_path, HF_TOKEN="hf_very_secret", HF_ENDPOINT=closed)
    readiness = _check(_gpqa(), env)
    assert "token" not in _what(readiness)
    assert "hf_very_secret" not in readiness.as_text()
    assert "hf_very_secret" not in repr(readiness)


def test_an_ungated_benchmark_needs_no_token(tmp_path: Path, hub: str, gpu: str) -> None:
    found = catalogue.find("gsm8k")
    needs = replace(found.needs, packages=(), harness_packages=(), disk_gb=0.001)
    readiness = _check(replace(found, needs=needs), _env(tmp_path, PATH=gpu, HF_ENDPOINT=hub))
    assert readiness.ready, readiness.as_text()


def test_offline_by_choice_is_told_apart_from_out_of_reach(tmp_path: Path, hub: str) -> None:
    env = _env(tmp_path, HF_ENDPOINT=hub, HF_HUB_OFFLINE="1")
    [need] = [n for n in _check(_gpqa(), env).missing if "Hub" in n.what]
    assert need.how == "unset HF_HUB_OFFLINE"


def test_behind_a_proxy_the_proxy_is_what_must_answer(tmp_path: Path, hub: str) -> None:
    env = _env(tmp_path, HF_ENDPOINT="https://hub.invalid", https_proxy=hub)
    assert probe_machine(env).hub_answers()


def test_a_judged_benchmark_asks_for_the_judges_key(tmp_path: Path, hub: str, gpu: str) -> None:
    found = catalogue.find("healthbench")
    needs = replace(found.needs, packages=(), harness_packages=(), disk_gb=0.001)
    env = _env(tmp_path, PATH=gpu, HF_ENDPOINT=hub)
    assert _what(_check(replace(found, needs=needs), env)) == "OPENAI_API_KEY"


def test_too_little_disk_is_said_with_what_is_free(tmp_path: Path, hub: str, gpu: str) -> None:
    env = _env(tmp_path, PATH=gpu, HF_ENDPOINT=hub, HF_TOKEN="x")
    [need] = _check(_gpqa(disk_gb=1e9), env).missing
    assert "GB are free" in need.why


def test_an_embedded_benchmark_needs_neither_gpu_nor_network_nor_key(
    tmp_path: Path, closed: str
) -> None:
    readiness = _check(catalogue.find("nano/mcq"), _env(tmp_path, HF_ENDPOINT=closed))
    assert readiness.ready, readiness.as_text()
    assert readiness.notes() == ()


def test_looking_imports_no_heavy_library(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from mlintern_jupyter.bench import catalogue, readiness\n"
        "p = readiness.probe_machine(os.environ)\n"
        "readiness.check(catalogue.find('gpqa'), (), os.environ, p)\n"
        "heavy = {'torch', 'transformers', 'datasets', 'scipy', 'huggingface_hub', 'litellm'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("ability", missing_abilities())
def test_the_readme_names_every_ability_that_is_not_there_yet(ability: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert ability.casefold() in " ".join(readme.casefold().split())
