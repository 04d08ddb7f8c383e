"""What a benchmark needs and this machine lacks, said before anything is spent.

Looked at from outside and quickly: no model is loaded, no item is fetched, no heavy library is
imported, and of secrets only whether they are there. What cannot be seen that way (whether the
terms of a gated data set were accepted, whether a key is valid) is said to be unchecked.
"""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mlintern_jupyter.bench.catalogue import Benchmark, Needs
from mlintern_jupyter.config import notebook_folder
from mlintern_jupyter.errors import InternError

CONNECT_TIMEOUT_S = 2.0
_SMI_TIMEOUT_S = 10.0
SAME_PATH = "nano/mcq"
"""The embedded benchmark that goes the same way on two CPU cores."""


@dataclass(frozen=True)
class Need:
    """One thing that is missing here."""

    what: str
    why: str
    """What it is needed for, or what is here instead."""
    how: str
    """What the person can do about it."""


@dataclass(frozen=True)
class Readiness:
    """Whether a run can start here, and what it would take."""

    benchmark: str
    """Its name."""
    ready: bool
    """Whether nothing is missing."""
    missing: tuple[Need, ...]
    would_need: str
    """What a run takes, one line each; estimates name their source."""
    abilities_missing: tuple[str, ...]
    """What such a run would use and this version does not have."""
    shows_same_path: str
    """Name of a benchmark that goes the same way on any machine."""

    def notes(self) -> tuple[str, ...]:
        """What is said when a run starts: estimates, and what this version cannot do."""
        if not self.abilities_missing:
            return ()
        return (self.would_need, f"not in this version: {', '.join(self.abilities_missing)}")

    def as_text(self) -> str:
        """Plain lines for the person: what is missing, what a run needs, what works here."""
        lines = [f"missing here for {self.benchmark}:" if self.missing else "nothing is missing"]
        for need in self.missing:
            lines += [f"  {need.what}", f"      why: {need.why}", f"      do:  {need.how}"]
        lines += ["", self.would_need]
        if self.abilities_missing:
            lines += ["", f"not in this version: {', '.join(self.abilities_missing)}"]
        if self.missing and self.benchmark != self.shows_same_path:
            lines += [
                "",
                "the same path on two CPU cores, without a key, a GPU or a network:",
                f"  %%intern improve {self.shows_same_path} --model playbook",
                "or, from a terminal, where no page answers the intern:",
                f"  mlintern run 'improve {self.shows_same_path}' --notebook nano.ipynb"
                " --model playbook --mode unattended --budget 1",
            ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Probe:
    """Looks at this machine from outside; each look is made only when a benchmark needs it."""

    env: Mapping[str, str]

    def gpu_gb(self) -> float | None:
        """Memory of the largest NVIDIA GPU in GB, infinite where only the driver shows it."""
        if self.env.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}:
            return None
        measured = _gpu_memory_gb(self.env)
        if measured is None and any(Path("/proc/driver/nvidia/gpus").glob("*")):
            return math.inf
        return measured

    def hub_answers(self) -> bool:
        """Whether a connection to the Hub (or to the proxy before it) opens within 2.5 s."""
        return not self.offline() and _reaches(_first_hop(self.endpoint(), self.env))

    def endpoint(self) -> str:
        """Address of the Hub."""
        return self.env.get("HF_ENDPOINT") or "https://huggingface.co"

    def offline(self) -> bool:
        """Whether the Hub client is told not to use the network."""
        return self.env.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}

    def has_token(self) -> bool:
        """Whether a Hub token is there. Its value is never read from a file, nor kept."""
        if any(self.env.get(name, "").strip() for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")):
            return True
        user = Path(self.env.get("HOME") or "~").expanduser()
        cache = self.env.get("XDG_CACHE_HOME") or str(user / ".cache")
        home = self.env.get("HF_HOME") or f"{cache}/huggingface"
        try:
            path = Path(self.env.get("HF_TOKEN_PATH") or f"{home}/token").expanduser()
            return path.stat().st_size > 0
        except OSError:
            return False

    def installed(self, name: str) -> bool:
        """Whether a package can be imported, without importing it."""
        return importlib.util.find_spec(name) is not None

    def free_gb(self) -> float:
        """Free space where checkpoints will be written, in GB (10**9 bytes)."""
        return shutil.disk_usage(notebook_folder()).free / 1e9


def probe_machine(env: Mapping[str, str]) -> Probe:
    """A probe of this machine as ``env`` describes it."""
    return Probe(env)


def check(
    benchmark: Benchmark,
    plan_problems: Sequence[InternError],
    env: Mapping[str, str],
    probe: Probe,
    abilities_missing: Sequence[str] = (),
) -> Readiness:
    """Compare what a benchmark needs with what is here.

    Args:
        benchmark: what is to be improved.
        plan_problems: errors of resolving the language model, for example a key that is not set.
        env: the environment, for the keys a judge needs.
        probe: looks at the machine.
        abilities_missing: what this version cannot do yet, in words.
    """
    found = [
        *(_need_of(problem) for problem in plan_problems),
        _gpu(benchmark.needs, probe),
        _network(benchmark, probe),
        _token(benchmark, probe),
        _packages(benchmark.needs, probe),
        _harness(benchmark, probe),
        _disk(benchmark.needs, probe),
        *_keys(benchmark.needs, env),
    ]
    missing = tuple(need for need in found if need)
    abilities = tuple(abilities_missing) if benchmark.real else ()
    return Readiness(
        benchmark.name, not missing, missing, would_need(benchmark), abilities, SAME_PATH
    )


def would_need(benchmark: Benchmark) -> str:
    """What a run takes, in lines of text; every number is an estimate and names its source."""
    needs, real = benchmark.needs, benchmark.real
    gpu = f"one GPU with about {needs.gpu_gb:g} GB" if needs.gpu_gb else "no GPU"
    lines = ["A run would need (estimates)", f"  machine: {gpu}, {needs.disk_gb:g} GB of disk"]
    if any(needs.hours):
        lines.append(f"  time:    {needs.hours[0]:g} to {needs.hours[1]:g} hours on that GPU")
    if any(needs.usd):
        low, high = needs.usd
        lines.append(f"  money:   ${low:g} to ${high:g}, GPU rent and language model together")
    if real and real.data.gated:
        lines.append(f"  terms:   accepted at {real.data.gate} (cannot be checked from here)")
    if real:
        lines.append(f"  data:    {real.items} items, never for training: {real.data.split_note}")
    if needs.source:
        lines.append(f"  source:  {needs.source}")
    return "\n".join(lines)


def _need_of(problem: InternError) -> Need:
    return Need(
        problem.what,
        problem.why or "the intern needs a language model",
        problem.do or "see --model",
    )


def _gpu(needs: Needs, probe: Probe) -> Need | None:
    if not needs.gpu_gb:
        return None
    memory = probe.gpu_gb()
    # A card sold as 16 GB reports a little less.
    if memory is not None and memory >= needs.gpu_gb * 0.9:
        return None
    seen = "no NVIDIA GPU was found" if memory is None else f"the largest here has {memory:.0f} GB"
    if probe.env.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}:
        seen = "CUDA_VISIBLE_DEVICES hides every GPU"
    return Need(
        f"a GPU with {needs.gpu_gb:g} GB or more",
        seen,
        "open this notebook on a machine with an NVIDIA GPU and its driver; "
        "sending jobs to other machines is not in this version",
    )


def _gpu_memory_gb(env: Mapping[str, str]) -> float | None:
    """Memory of the largest NVIDIA GPU in GB (2**30 bytes), or ``None`` when none answers."""
    program = shutil.which("nvidia-smi", path=env.get("PATH", os.defpath))
    if not program:
        return None
    query = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            query, capture_output=True, text=True, timeout=_SMI_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    sizes = [int(line) for line in done.stdout.split() if line.isdigit()]
    return max(sizes) / 1024 if done.returncode == 0 and sizes else None


def _network(benchmark: Benchmark, probe: Probe) -> Need | None:
    task = benchmark.task
    if benchmark.kind == "embedded" or (task and Path(task.base_model).is_dir()):
        return None
    if probe.hub_answers():
        return None
    why = "HF_HUB_OFFLINE is set" if probe.offline() else "it cannot be reached from here"
    return Need(
        f"the Hub at {probe.endpoint()}",
        f"base model and data set are loaded from there, and {why}",
        "unset HF_HUB_OFFLINE"
        if probe.offline()
        else "connect this machine, set HTTPS_PROXY, or set HF_ENDPOINT to a mirror",
    )


def _first_hop(endpoint: str, env: Mapping[str, str]) -> str:
    """Where a request goes first: the proxy where one is set, else the endpoint."""
    scheme = urlsplit(endpoint).scheme or "https"
    proxy = env.get(f"{scheme}_proxy") or env.get(f"{scheme.upper()}_PROXY")
    return proxy or endpoint


def _reaches(url: str) -> bool:
    """Whether a TCP connection opens. On a thread: name lookup has no timeout of its own."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    try:
        address = (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))
    except ValueError:
        return False
    opened = threading.Event()

    def connect() -> None:
        try:
            with socket.create_connection(address, CONNECT_TIMEOUT_S):
                opened.set()
        except OSError:
            return

    thread = threading.Thread(target=connect, name="mlintern-reach", daemon=True)
    thread.start()
    thread.join(CONNECT_TIMEOUT_S + 0.5)
    return opened.is_set()


def _token(benchmark: Benchmark, probe: Probe) -> Need | None:
    real = benchmark.real
    if not real or not real.data.gated or probe.has_token():
        return None
    return Need(
        "a Hugging Face token",
        f"{real.data.id} is gated: it is given only to accounts that accepted its terms",
        f"accept them at {real.data.gate}, then `hf auth login` in a terminal, or set HF_TOKEN",
    )


def _packages(needs: Needs, probe: Probe) -> Need | None:
    absent = [name for name in needs.packages if not probe.installed(name)]
    if not absent:
        return None
    return Need(
        f"Python packages: {', '.join(absent)}",
        "training scripts use them",
        "pip install 'mlintern-jupyter[train]'",
    )


def _harness(benchmark: Benchmark, probe: Probe) -> Need | None:
    needs = benchmark.needs
    absent = [name for name in needs.harness_packages if not probe.installed(name)]
    if not absent:
        return None
    return Need(
        f"the evaluation package: {', '.join(absent)}",
        f"it runs and scores {benchmark.name}",
        needs.harness_install,
    )


def _disk(needs: Needs, probe: Probe) -> Need | None:
    free = probe.free_gb()
    if free >= needs.disk_gb:
        return None
    return Need(
        f"{needs.disk_gb:g} GB of free disk",
        f"checkpoints are kept here; {free:.1f} GB are free",
        "make room, or open the notebook on a larger disk",
    )


def _keys(needs: Needs, env: Mapping[str, str]) -> list[Need]:
    return [
        Need(
            key,
            "a language model judges the replies, and that needs its provider's key",
            f"set {key} before the kernel starts; judging is paid apart from the intern's model",
        )
        for key in needs.keys
        if not env.get(key, "").strip()
    ]
