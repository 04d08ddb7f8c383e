"""What a long turn costs and whether it is still known at its end: benchmarks/long_turn.md."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "doubles"))
# litellm reads deprecated attributes of its own classes at every call.
warnings.filterwarnings("ignore", category=DeprecationWarning)

import long_turn_rig as rig  # noqa: E402

from mlintern_jupyter.testing.tokens import count  # noqa: E402

WINDOW = 32_768
CALLS, STEPS = 500, 100


def main() -> None:
    """Play the turns and write what came out."""
    long = rig.LongTurn(CALLS, WINDOW).run()
    small = rig.LongTurn(STEPS, WINDOW).run()
    everything = rig.LongTurn(STEPS, None).run()
    text = "\n".join([*_long(long), *_shares(small, everything), *_before(long)]) + "\n"
    (HERE / "long_turn.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def _long(turn: rig.LongTurn) -> list[str]:
    right = turn.answer == rig.EXPECTED
    largest = max(request.tokens for request in turn.requests if request.served == "answer")
    asked = [fact for fact in turn.of(rig.EffectSettled) if fact.tool == "recall"]
    return [
        "# A long turn in a small window",
        "",
        "`make bench`: the real loop, client, gate, tools' descriptions and",
        "recall; the model is a script that knows only the request it gets, cells are doubles.",
        "The server counts with a tokenizer of its own and refuses what does not fit. Goals in",
        "brackets.",
        "",
        f"## {CALLS} calls in {WINDOW:,} tokens, one request",
        "",
        "| what | measured |",
        "| --- | --- |",
        f"| calls carried out ({CALLS}) | {len(turn.cell_results)} |",
        f"| questions about call 3, an edit and the best score (right) | "
        f"{'right' if right else 'WRONG: ' + turn.answer} |",
        f"| of these by `recall`, the others from the window | {len(asked)} |",
        f"| times room was made | {len(turn.compactions)} |",
        f"| requests the server refused as too long, then made shorter | {turn.overflows} |",
        f"| largest prompt, server's count | {largest:,} tokens |",
        "",
    ]


def _shares(small: rig.LongTurn, everything: rig.LongTurn) -> list[str]:
    lines = [
        f"## {STEPS} steps",
        "",
        "| | prompt tokens in all | of these from the provider's cache | read anew |",
        "| --- | --- | --- | --- |",
    ]
    for name, turn in ((f"window of {WINDOW:,}", small), ("everything sent", everything)):
        sent, cached = turn.tokens()
        lines.append(f"| {name} | {sent:,} | {cached / sent:.0%} | {sent - cached:,} |")
    share = small.tokens()[0] / everything.tokens()[0]
    lines += [
        "",
        f"The window sends {share:.0%} of what sending everything would. Notes included; room was",
        f"made {len(small.compactions)} times. A prefix is served from the cache as long as it has",
        "the same bytes (the way of OpenAI's servers).",
        "",
    ]
    return lines


def _before(turn: rig.LongTurn) -> list[str]:
    body = turn.requests[0].body
    tools = {t["function"]["name"]: count(json.dumps(t)) for t in body["tools"]}
    parts = {m["role"]: count(rig.text_of(m)) for m in body["messages"]}
    lines = [
        "## Prompt tokens before the first word (goal 6,000 or fewer)",
        "",
        f"**{turn.requests[0].tokens:,}** by the server's count: instructions {parts['system']:,},"
        f" tools {sum(tools.values()):,}, request and standing {parts['user']:,}.",
        "",
        "| tool | tokens |",
        "| --- | --- |",
        *(f"| `{name}` | {size} |" for name, size in sorted(tools.items(), key=lambda t: -t[1])),
    ]
    return lines


if __name__ == "__main__":
    main()
