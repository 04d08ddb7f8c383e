"""What loading the extension may load: nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = (
    "litellm", "torch", "datasets", "trl", "peft", "accelerate", "transformers", "huggingface_hub",
    "plotly", "matplotlib.pyplot", "scipy", "pandas", "numpy", "openai", "trackio",
)  # fmt: skip

PROGRAM = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
ip = InteractiveShell.instance()
before = set(sys.modules)
ip.run_line_magic("load_ext", "mlintern_jupyter")
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def _loaded() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.strip().splitlines()[-1]))


def test_loading_the_extension_loads_no_heavy_library() -> None:
    loaded = _loaded()
    assert "mlintern_magics" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_importing_the_package_loads_none_of_its_rooms() -> None:
    program = (
        "import sys, mlintern_jupyter; "
        "print([m for m in sys.modules if m.startswith('mlintern') and m != 'mlintern_jupyter'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_verbs_of_the_terminal_that_read_no_notebook_load_nothing_for_it() -> None:
    program = (
        "import sys, mlintern_jupyter.cli; "
        "print([m for m in ('nbformat', 'nbclient', 'jsonschema') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
