"""What a child process gets of the kernel's environment: an allow-list, as data.

Tokens are not on it. A script that needs one says so itself (``token=True`` reads the stored
login), where the person who reviews the cell sees it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

NAMES = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "PYTHONPATH",
        "PYTHONHASHSEED",
        "PYTHONHOME",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "XDG_CACHE_HOME",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_DATASETS_CACHE",
        "HF_HUB_OFFLINE",
        "HF_DATASETS_OFFLINE",
        "HF_ENDPOINT",
        "TRANSFORMERS_OFFLINE",
        "TOKENIZERS_PARALLELISM",
        "TRACKIO_DIR",
        "TORCH_HOME",
        "TRITON_CACHE_DIR",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    }
)
PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "NCCL_", "PYTORCH_", "ROCR_", "HIP_")
FIXED = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}

_CREDENTIALS = re.compile(r"://[^/@\s]+@")
_SECRET_NAME = re.compile(r"TOKEN|KEY|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
"""A prefix is shared: ``NVIDIA_VISIBLE_DEVICES`` and ``NVIDIA_API_KEY``."""
_FEW_CPUS = 4


def allowed(given: Mapping[str, str]) -> dict[str, str]:
    """What any child process of ours gets of an environment: allow-listed, no credentials."""
    kept: dict[str, str] = {}
    for name in given:
        known = name in NAMES or (name.startswith(PREFIXES) and not _SECRET_NAME.search(name))
        # A cell may delete a variable while another thread is here.
        value = given.get(name) if known else None
        if value is not None and not _CREDENTIALS.search(value):
            kept[name] = value
    # With few cores, threads that wait for each other are slower than one.
    if (os.cpu_count() or 1) <= _FEW_CPUS:
        kept.setdefault("OMP_NUM_THREADS", "1")
    return kept | FIXED
