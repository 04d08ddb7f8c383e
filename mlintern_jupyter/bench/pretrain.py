"""Pre-train the nano base model on raw text of its world, from a seed.

``python -m mlintern_jupyter.bench.pretrain --out DIR --seed N`` writes an ordinary Hugging Face
checkpoint and a ``SHA256SUMS``. The one shipped under ``bench/nano/base`` was made with the
defaults; float arithmetic differs between machines, so its checksums pin the shipped files and not
the procedure.
"""

import argparse
import hashlib
import json
import math
import random
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM, set_seed
from transformers.utils import logging

from mlintern_jupyter.bench.nano.tokens import (
    END,
    PAD,
    SPECIALS,
    VOCABULARY,
    encode,
    write_tokenizer,
)
from mlintern_jupyter.bench.nano.world import EXERCISES, READING, Mix, documents, make_world

BATCH, LENGTH = 8, 256
"""Rows and tokens per row of one step."""
WARM_UP = 100
"""Steps at the start of a stage over which the learning rate rises."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of training with its own mix of documents and a fresh optimizer."""

    steps: int
    """Optimizer steps."""
    horizon: int
    """Steps over which the rate would fall to a twentieth of its peak; the stage may end before."""
    peak_rate: float
    """Learning rate at the end of the warm-up."""
    mix: Mix
    """What is read, by kind of document."""

    def rate(self, step: int) -> float:
        """The learning rate of ``step``: linear warm-up, then cosine."""
        if step < WARM_UP:
            return self.peak_rate * (step + 1) / WARM_UP
        part = (step - WARM_UP) / max(1, self.horizon - WARM_UP)
        return self.peak_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * part)))


STAGES = (Stage(5_000, 7_000, 2e-3, READING), Stage(2_500, 2_500, 1.5e-3, EXERCISES))
"""How the shipped base was trained: 15 million tokens."""


def _batches(seed: int, mix: Mix) -> Iterator[torch.Tensor]:
    """Yield token ids ``[BATCH, LENGTH]`` of packed documents for ever."""
    rng = random.Random(seed)
    end = SPECIALS.index(END)
    stream = documents(make_world(), rng, mix)
    buffer: list[int] = []
    while True:
        while len(buffer) < BATCH * LENGTH:
            buffer += [*encode(next(stream)), end]
        yield torch.tensor(buffer[: BATCH * LENGTH]).view(BATCH, LENGTH)
        del buffer[: BATCH * LENGTH]


def _new_model(seed: int) -> Any:
    set_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=96,
        intermediate_size=224,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=24,
        max_position_embeddings=512,
        initializer_range=0.05,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=SPECIALS.index(END),
        pad_token_id=SPECIALS.index(PAD),
        use_cache=True,
    )
    return Qwen3ForCausalLM(config)


def _write(model: Any, out: Path) -> None:
    """Write checkpoint, tokenizer and ``SHA256SUMS`` into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(
        eos_token_id=SPECIALS.index(END), pad_token_id=SPECIALS.index(PAD)
    )
    model.save_pretrained(out)
    write_tokenizer(out)
    (out / "model.safetensors").chmod(0o644)
    names = sorted(path.name for path in out.iterdir() if path.name != "SHA256SUMS")
    sums = [f"{hashlib.sha256((out / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (out / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def _train(model: Any, stage: Stage, seed: int, report_every: int) -> float:
    """Run one stage; returns the mean loss in nats per token over its last steps."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer: Any = torch.optim.AdamW(groups, lr=stage.peak_rate, betas=(0.9, 0.98), fused=True)
    stream = _batches(seed, stage.mix)
    losses: deque[float] = deque(maxlen=50)
    started = time.monotonic()
    for step in range(stage.steps):
        for group in optimizer.param_groups:
            group["lr"] = stage.rate(step)
        batch = next(stream)
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        if report_every and (step + 1) % report_every == 0:
            mean = sum(losses) / len(losses)
            row = {
                "step": step + 1,
                "loss": round(mean, 4),
                "wall_s": round(time.monotonic() - started, 1),
            }
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()
    return sum(losses) / len(losses)


def pretrain(
    out: Path, seed: int = 7, stages: Sequence[Stage] = STAGES, report_every: int = 50
) -> float:
    """Train from scratch and write the checkpoint.

    Args:
        out: folder to write; created.
        seed: seed of the weights and of the order of documents (the world has its own).
        stages: what is read, in order.
        report_every: steps between two JSON lines on stdout; 0 is silent.

    Returns:
        Mean cross-entropy in nats per token over the last 50 steps.
    """
    model = _new_model(seed)
    model.train()
    final = math.nan
    for number, stage in enumerate(stages):
        final = _train(model, stage, seed + number, report_every)
    _write(model, out)
    return final


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlintern_jupyter.bench.pretrain")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "nano" / "base")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--max-steps", type=int, default=None, help="per stage, for a trial")
    args = parser.parse_args(argv)
    logging.disable_progress_bar()
    stages = [
        replace(stage, steps=min(stage.steps, args.max_steps or stage.steps)) for stage in STAGES
    ]
    final = pretrain(args.out, seed=args.seed, stages=stages)
    sys.stdout.write(json.dumps({"out": str(args.out), "final_loss": round(final, 4)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
