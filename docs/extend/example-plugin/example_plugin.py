"""A tool that needs a key and says where it sends it."""

from __future__ import annotations

import json
import os
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from mlintern_jupyter import tool

HOST = "api.example.org"
KEY = "EXAMPLE_API_KEY"


@tool(effects={"read"}, hosts={HOST}, keys={KEY}, timeout_s=30)
def define_term(term: str) -> str:
    """Say what a term means in the glossary of the group.

    Args:
        term: one term, e.g. ``reward hacking``
    """
    request = Request(f"https://{HOST}/terms/{quote(term, safe='')}")
    # A redirect leads to another host, and the key must not follow it there.
    request.add_unredirected_header("Authorization", f"Bearer {os.environ[KEY]}")
    try:
        with urlopen(request, timeout=20) as answer:
            return str(json.load(answer)["meaning"])
    except HTTPError as error:
        if error.code == 404:
            return f"the glossary has no {term!r}"
        raise
