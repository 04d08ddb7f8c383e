"""What other people's notebooks may rely on."""

from __future__ import annotations

import inspect

import pytest

import mlintern_jupyter


def test_the_package_offers_what_a_cell_needs_and_nothing_else() -> None:
    offered = ["__version__", "benchmark", "compare", "evaluate", "job", "tool"]
    assert mlintern_jupyter.__all__ == offered


@pytest.mark.parametrize("name", ["benchmark", "compare", "evaluate", "job", "tool"])
def test_every_cell_function_explains_itself(name: str) -> None:
    function = getattr(mlintern_jupyter, name)
    assert inspect.getdoc(function)
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


def test_an_unknown_name_is_an_ordinary_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        mlintern_jupyter.trian  # noqa: B018
