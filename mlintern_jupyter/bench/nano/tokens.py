"""The tokenizer of the nano base: one token a byte, in ordinary Hugging Face tokenizer files.

A byte-level BPE without a single merge. Nothing is ever unknown to it, and its files load with
``AutoTokenizer``.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

END, PAD, TURN_START, TURN_END = "<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>"
SPECIALS = (END, PAD, TURN_START, TURN_END)
"""Special tokens; the position is the token id."""

VOCABULARY = len(SPECIALS) + 256
"""Number of tokens."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
"""ChatML, as the post-trained relatives of real base models use it."""


def _byte_names() -> dict[int, str]:
    """The printable stand-in of every byte (the table of GPT-2's byte-level BPE)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names = {byte: chr(byte) for byte in plain}
    rest = (byte for byte in range(256) if byte not in names)
    names.update({byte: chr(256 + position) for position, byte in enumerate(rest)})
    return names


def encode(text: str) -> list[int]:
    """The token ids of raw text, the same as the written tokenizer returns."""
    return [len(SPECIALS) + byte for byte in text.encode()]


def write_tokenizer(folder: Path) -> None:
    """Write ``tokenizer.json``, ``tokenizer_config.json`` and ``chat_template.jinja``.

    The end-of-text token stays the tokenizer's ``eos_token``, as in real base models: nothing in
    these files stops a generation at the end of a turn.

    Args:
        folder: where they are written; it must be there.
    """
    vocabulary = {token: number for number, token in enumerate(SPECIALS)}
    vocabulary |= {name: len(SPECIALS) + byte for byte, name in _byte_names().items()}
    tokenizer: Any = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIALS])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": [TURN_START, TURN_END],
        "model_max_length": 512,
        "clean_up_tokenization_spaces": False,
    }
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
