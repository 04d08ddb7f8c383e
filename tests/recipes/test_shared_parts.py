"""Training scripts repeat what they share, so that each reads alone: the copies must be equal.

A script is taken apart into its top-level statements, each with the comment above it, and the call
of its trainer into the arguments. A part is the same in all scripts that have it, and a part that
most scripts have is in all of them. ``DIFFERS`` names each exception with its reason.
"""

import ast
from collections import Counter
from collections.abc import Iterator

from mlintern_jupyter.recipes.book import Book

SCRIPTS = {page.name: page.template for page in Book.load().pages.values() if page.kind == "script"}

RATE = "the learning rate that fits the method"
REPLY = "the shape of the reply is the idea of this recipe"
SECOND_ROUND = "model and rows are those of the job before, not of the benchmark's folder"
ROWS = "it does not train on rows of prompt and completion"
STEPS = "a step is made of something else than rows"
SCHEDULE = "few and small steps: the trainer's own schedule, and a log line more often"
SAMPLING = "it samples replies while it trains, up to the end token that is set for that time"

_PARTS_OF_ROWS = (
    "reply",
    "conversation",
    "rows",
    "(OUT / 'rows.jsonl').write_text(''.join(",
    "print(f'{len(rows)} rows, the first one:",
    "print(rows[0]['prompt'][0]['content'])",
    "print('->', rows[0]['completion'][0]['co",
    "chats",
    "from trl import SFTConfig, SFTTrainer",
)
_PARTS_OF_STEPS = ("longest", "batch", "seconds", "print(f'{done.global_step} steps of {bat")
_PARTS_OF_SCHEDULE = ("args.lr_scheduler_type", "args.weight_decay", "args.logging_steps")
DIFFERS: dict[str, dict[str, tuple[str, ...]]] = {
    "sft-lora": {RATE: ("rate",), "it needs one more library": ("dependencies",)},
    "sft-step-by-step": {REPLY: ("reply",)},
    "sft-option-by-option": {REPLY: ("reply",), RATE: ("rate",)},
    "sft-longer": {
        RATE: ("rate",),
        SECOND_ROUND: (
            *("import tomllib", "fill", "task", "lines", "reply", "conversation", "rows"),
            *("(OUT / 'rows.jsonl').write_text(''.join(", "tokenizer", "model"),
        ),
    },
    "dpo-pairs": {
        RATE: ("rate",),
        ROWS: _PARTS_OF_ROWS,
        STEPS: (*_PARTS_OF_STEPS, "args.per_device_train_batch_size"),
        SCHEDULE: _PARTS_OF_SCHEDULE,
    },
    "grpo-exact-match": {
        RATE: ("rate",),
        ROWS: _PARTS_OF_ROWS,
        STEPS: _PARTS_OF_STEPS,
        SCHEDULE: (*_PARTS_OF_SCHEDULE, "args.warmup_steps"),
        SAMPLING: ("turn", "model.generation_config.eos_token_id", "args.max_length"),
        "its sampler draws from the one seed": ("args.data_seed",),
    },
}


def parts(template: str) -> Iterator[tuple[str, str]]:
    """Name and text of each part of a script."""
    script = template.partition("\n")[2]
    lines, above = script.splitlines(), 0
    for statement in ast.parse(script).body:
        text = "\n".join(lines[above : statement.end_lineno]).strip()
        above = statement.end_lineno or above
        match statement:
            case ast.Expr(ast.Constant()):  # what the script is about is not shared
                yield "dependencies", text.partition('"""')[0]
            case ast.Assign([ast.Name("trainer")], ast.Call(keywords=given)):
                config = next(each.value for each in given if each.arg == "args")
                assert isinstance(config, ast.Call)
                for prefix, keywords in (("trainer", given), ("args", config.keywords)):
                    for each in keywords:
                        if each.value is not config:
                            yield f"{prefix}.{each.arg}", ast.unparse(each.value)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, text
            case ast.Assign([target]):
                yield ast.unparse(target), text
            case _:
                yield ast.unparse(statement)[:40], text


def test_scripts_differ_only_where_there_is_a_reason():
    first = {name: dict(reversed([*parts(template)])) for name, template in SCRIPTS.items()}
    found: dict[str, set[str]] = {name: set() for name in SCRIPTS}
    for part in {part for script in first.values() for part in script}:
        texts = {name: script[part] for name, script in first.items() if part in script}
        usual = Counter(texts.values()).most_common(1)[0][0]
        for name in SCRIPTS:
            missing = name not in texts and 2 * len(texts) > len(SCRIPTS)
            if missing or texts.get(name, usual) != usual:
                found[name].add(part)
    assert len(SCRIPTS) == 7
    for name in SCRIPTS:
        assert found[name] == {p for why in DIFFERS.get(name, {}).values() for p in why}, name
