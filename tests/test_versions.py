"""The package, its build and the page's side carry one version."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import mlintern_jupyter

ROOT = Path(__file__).parent.parent


def test_the_package_its_build_and_the_page_name_one_version() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert build["project"]["dynamic"] == ["version"]
    assert build["tool"]["hatch"]["version"]["path"] == "mlintern_jupyter/__init__.py"
    page = json.loads((ROOT / "labextension" / "package.json").read_text())
    lock = json.loads((ROOT / "labextension" / "package-lock.json").read_text())
    assert {page["version"], lock["version"]} == {mlintern_jupyter.__version__}


def test_the_lock_names_no_registry_so_that_any_may_serve_it() -> None:
    lock = json.loads((ROOT / "labextension" / "package-lock.json").read_text())
    assert not [name for name, entry in lock["packages"].items() if "resolved" in entry]
