"""The scorer: a process of its own that says how many items a checkpoint gets right.

``python -m mlintern_jupyter.bench.score --task nano/sum --split dev --model DIR --out FILE.json``

Decoding is the checkpoint's own affair: sampling and stop tokens come from its
``generation_config.json`` and from nowhere else, the way inference engines take them. A checkpoint
trained to end its turn with a token that its generation config does not list runs on, and is scored
on what it then says. Of held-out items only counts and a bitmap leave this process, never a text.
"""

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import set_seed
from transformers.utils import logging

from mlintern_jupyter.bench.scorers import SCORERS, Judgement
from mlintern_jupyter.bench.statistics import encode_bitmap, wilson
from mlintern_jupyter.bench.task import Item, ItemSplit, Task, items_sha256, load_items, open_task
from mlintern_jupyter.errors import UsageError

# The library's own types are partly unknown; what it returns is treated as untyped here.
AutoModelForCausalLM: Any = transformers.AutoModelForCausalLM
AutoTokenizer: Any = transformers.AutoTokenizer

SAMPLES = 4
"""Dev outputs shown in the result: wrong ones first, they teach more."""


@dataclass(frozen=True, slots=True)
class _Output:
    """What the model said to one item."""

    text: str
    """Without special tokens: what is scored."""
    raw: str
    """With special tokens, without padding."""
    tokens: int
    """Generated tokens, the stop token included."""
    stopped: bool


def _weights_sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"no model folder {folder}", do="train first, or correct the path")
    if (folder / "adapter_config.json").is_file():
        raise UsageError(
            f"{folder} holds an adapter, not a model",
            do="merge it into its base (merge_and_unload) and save that",
        )
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"{folder} holds no model: config.json is missing", do="save the model there"
        )
    if not list(folder.glob("*.safetensors")):
        raise UsageError(
            f"{folder} holds no weights: no *.safetensors file", do="save the model there"
        )


def _load(folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a folder, ready to generate.

    Raises:
        UsageError: the folder does not hold a complete checkpoint.
    """
    _check_folder(folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True, local_files_only=True
        )
        model, info = loaded
        tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, padding_side="left", local_files_only=True
        )
    # A checkpoint can be broken in as many ways as there are loaders: each is the same answer here.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(f"{folder} does not load", why=lines[0]) from error
    if info["missing_keys"]:
        raise UsageError(
            f"{folder} is not complete", why=f"missing weights: {sorted(info['missing_keys'])[:3]}"
        )
    if not tokenizer.chat_template:
        raise UsageError(
            f"the tokenizer in {folder} has no chat template",
            do="save the base's tokenizer with it",
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(device).eval(), tokenizer


def _stop_ids(model: Any) -> list[int]:
    stops = model.generation_config.eos_token_id
    if stops is None:
        return []
    return [stops] if isinstance(stops, int) else list(stops)


def _turn_end(tokenizer: Any) -> str:
    """The special token that the chat template writes after a reply, or ""."""
    marker = "reply-goes-here"
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": marker}]
    after = tokenizer.apply_chat_template(turns, tokenize=False).rpartition(marker)[2]
    places = {after.find(token): token for token in tokenizer.all_special_tokens if token in after}
    return places[min(places)] if places else ""


def _generate(
    model: Any, tokenizer: Any, prompts: Sequence[str], limit: int, batch: int
) -> list[_Output]:
    stops = set(_stop_ids(model))
    outputs: list[_Output] = []
    for start in range(0, len(prompts), batch):
        rendered = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            )
            for prompt in prompts[start : start + batch]
        ]
        inputs = tokenizer(rendered, return_tensors="pt", padding=True, add_special_tokens=False)
        inputs = inputs.to(model.device)
        with torch.inference_mode():
            produced = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=limit,
                pad_token_id=tokenizer.pad_token_id,
            )
        for row in produced[:, inputs["input_ids"].shape[1] :].tolist():
            end = next((place for place, token in enumerate(row) if token in stops), None)
            kept = row if end is None else row[: end + 1]
            outputs.append(
                _Output(
                    text=tokenizer.decode(kept, skip_special_tokens=True),
                    raw=tokenizer.decode(kept, skip_special_tokens=False),
                    tokens=len(kept),
                    stopped=end is not None,
                )
            )
    return outputs


def _repeats_at_end(text: str) -> bool:
    """Whether the text ends in three or more copies of a piece, 12 characters in all."""
    for width in range(1, len(text) // 3 + 1):
        copies = max(3, -(-12 // width))
        if text.endswith(text[-width:] * copies):
            return True
    return False


def _rates(
    outputs: Sequence[_Output], judged: Sequence[Judgement], turn_end: str
) -> dict[str, float]:
    n = len(outputs)

    def share(flags: Sequence[bool]) -> float:
        return round(sum(flags) / n, 4)

    return {
        "stopped": share([output.stopped for output in outputs]),
        "truncated": share([not output.stopped for output in outputs]),
        "answer_found": share([judgement.found for judgement in judged]),
        "empty": share([not output.text.strip() for output in outputs]),
        "repeated_tail": share([_repeats_at_end(output.text) for output in outputs]),
        # Ended its turn and was not stopped there: the generation config lacks a stop token.
        "ran_past_turn_end": share(
            [bool(turn_end) and turn_end in o.raw.removesuffix(turn_end) for o in outputs]
        ),
    }


def _decoding(model: Any, tokenizer: Any, task: Task) -> dict[str, Any]:
    config = model.generation_config
    names = ("do_sample", "temperature", "top_p", "top_k", "num_beams", "repetition_penalty")
    stops = _stop_ids(model)
    return {
        **{name: getattr(config, name, None) for name in names},
        "do_sample": bool(getattr(config, "do_sample", False)),
        "stop_token_ids": stops,
        "stop_tokens": [tokenizer.convert_ids_to_tokens(stop) for stop in stops],
        "max_new_tokens": task.max_new_tokens,
    }


def _samples(
    items: Sequence[Item], outputs: Sequence[_Output], judged: Sequence[Judgement]
) -> list[dict[str, Any]]:
    wrong = [place for place, judgement in enumerate(judged) if not judgement.correct]
    right = [place for place, judgement in enumerate(judged) if judgement.correct]
    some_wrong = wrong[: SAMPLES - min(len(right), 1)]
    return [
        {
            "id": items[place].id,
            "prompt": items[place].prompt,
            "output": outputs[place].text,
            "raw": outputs[place].raw,
            "expected": items[place].expected,
            "correct": judged[place].correct,
            "error": judged[place].error,
        }
        for place in [*some_wrong, *right][:SAMPLES]
    ]


def score(
    task: Task, split: ItemSplit, model_folder: Path, limit: int = 0, batch: int = 64
) -> dict[str, Any]:
    """Score a checkpoint.

    Args:
        task: the benchmark.
        split: ``dev`` or ``heldout``.
        model_folder: folder of a complete checkpoint, on this machine.
        limit: score the first so many items only; 0 means all.
        batch: items generated at the same time; does not change greedy results beyond rounding.

    Returns:
        The JSON object that the command writes: rates and accuracies are fractions of 1.

    Raises:
        UsageError: the folder does not hold a checkpoint that can be scored, or the task has no
            such split.
    """
    started = time.monotonic()
    items = load_items(task, split)
    items = items[:limit] if limit > 0 else items
    model, tokenizer = _load(model_folder)
    set_seed(0)
    outputs = _generate(
        model, tokenizer, [item.prompt for item in items], task.max_new_tokens, batch
    )
    judge = SCORERS[task.scorer]
    judged = [
        judge(output.text, item.expected) for output, item in zip(outputs, items, strict=True)
    ]
    correct = [judgement.correct for judgement in judged]
    low, high = wilson(sum(correct), len(correct))
    errors = Counter(judgement.error for judgement in judged if judgement.error)
    return {
        "v": 1,
        "task": task.name,
        "split": split,
        "model": str(model_folder),
        "weights_sha256": _weights_sha256(model_folder),
        "items_sha256": items_sha256(items),
        "n": len(items),
        "k": sum(correct),
        "accuracy": sum(correct) / len(items),
        "ci95": [round(low, 4), round(high, 4)],
        "correct": encode_bitmap(correct),
        "decoding": _decoding(model, tokenizer, task),
        "rates": _rates(outputs, judged, _turn_end(tokenizer)),
        "mean_new_tokens": round(sum(output.tokens for output in outputs) / len(outputs), 1),
        "errors": dict(errors.most_common()),
        "samples": _samples(items, outputs, judged) if split == "dev" else [],
        "wall_s": round(time.monotonic() - started, 2),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 with one line on stderr when nothing can be scored."""
    parser = argparse.ArgumentParser(prog="python -m mlintern_jupyter.bench.score")
    parser.add_argument("--task", required=True, help="name of a benchmark, or its folder")
    parser.add_argument("--split", choices=("dev", "heldout"), required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder of a complete checkpoint")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--limit", type=int, default=0, help="only the first so many items")
    parser.add_argument("--batch-size", type=int, default=64)
    args = parser.parse_args(argv)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        result = score(open_task(args.task), args.split, args.model, args.limit, args.batch_size)
    except UsageError as error:
        sys.stderr.write(" | ".join(str(error).splitlines()) + "\n")
        return 2
    args.out.parent.mkdir(parents=True, exist_ok=True)
    partial = args.out.with_name(f".{args.out.name}.partial")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    partial.replace(args.out)
    low, high = result["ci95"]
    sys.stdout.write(
        f"{result['task']} {result['split']}: {result['k']}/{result['n']} = "
        f"{result['accuracy']:.3f} "
        f"[{low:.3f}, {high:.3f}], {result['wall_s']} s\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
