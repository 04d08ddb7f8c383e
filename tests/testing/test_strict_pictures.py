from __future__ import annotations

import base64
from typing import Any

import pytest

from mlintern_jupyter.testing.strict import violations

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
TEXT = {"type": "text", "text": "[picture]"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def picture(url: str = f"data:image/png;base64,{PNG}", **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **more}


def problems(*messages: dict[str, Any]) -> str:
    return "; ".join(
        violations({"model": "m", "messages": list(messages), "max_tokens": 9, "stream": False})
    )


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def test_a_user_may_send_pictures_beside_text() -> None:
    assert problems(user(TEXT, picture())) == ""


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        (picture("https://example.org/a.png"), "not one in the request itself"),
        (picture("data:image/png;base64,[secret: X]"), "not base64"),
        (picture("data:image/png;base64,AAAA"), "not a PNG"),
        (picture(detail="low"), "neither a text nor a picture"),
        ({"type": "text", "text": " "}, "a text part is empty"),
        ("words", "neither a text nor a picture"),
    ],
)
def test_what_a_provider_would_refuse_is_a_violation(part: Any, problem: str) -> None:
    assert problem in problems(user(TEXT, part))


def test_only_the_user_sends_pictures() -> None:
    asked = [user(TEXT), {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    answer = {"role": "tool", "tool_call_id": "c1", "content": [TEXT, picture()]}
    assert "content is not a text" in problems(*asked, answer)
    assert "content is not a text" in problems({"role": "system", "content": [TEXT]}, user(TEXT))
    assert "content is not a text" in problems({"role": "user", "content": []})
