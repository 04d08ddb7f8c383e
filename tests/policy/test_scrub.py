import base64
import copy
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlintern_jupyter.policy.scrub import WITHHELD, Scrubber

TOKEN = "tok/en+with=odd&chars 7Zq"
PASSWORD = 'pass"word\\with\nlines-é'


@pytest.fixture
def scrub(tmp_path):
    return Scrubber({"HOME": str(tmp_path), "WANDB_TOKEN": TOKEN, "DB_PASSWORD": PASSWORD})


def carriers(value):
    """The same secret as it turns up in notebooks."""
    raw = value.encode()
    yield value
    yield f'wandb_api_key = "{value}"'
    yield json.dumps({"a": value})
    yield json.dumps({"a": value}, ensure_ascii=False)
    yield json.dumps({"a": json.dumps({"b": value})})
    yield repr(value)
    yield f"https://x.y/?key={quote(value, safe='')}&z=1"
    yield f"https://x.y/?key={quote_plus(value)}"
    yield re.sub("%..", lambda m: m.group().lower(), quote(value))
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode()
    for prefix in (b"u:", b"us:", b"use:"):
        yield "Basic " + base64.b64encode(prefix + raw + b"?!").decode()
    yield value[:4] + "\x1b[31m" + value[4:] + "\x1b[0m"


@pytest.mark.parametrize("value", [TOKEN, PASSWORD], ids=["token", "password"])
def test_a_known_value_is_masked_in_every_spelling(scrub, value):
    for text in carriers(value):
        masked = scrub.text(f"before {text} after")
        assert "[secret: " in masked, text
        assert masked.startswith("before ")
        assert masked.endswith(" after")


def test_a_cell_is_told_by_name_what_secret_it_holds(scrub):
    assert scrub.has_secret(f"key = {PASSWORD!r}") == "DB_PASSWORD"
    assert scrub.has_secret(f"key = {TOKEN!r}") == "WANDB_TOKEN"
    assert scrub.has_secret("key = os.environ['WANDB_TOKEN']") is None


@given(
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=8, max_size=40)
    .map(lambda s: "9" + s),
    before=st.binary(max_size=7), after=st.binary(max_size=7),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_no_encoding_of_any_secret_gets_through(secret, before, after):
    scrub = Scrubber({"HOME": "/nonexistent", "MY_SECRET": secret})
    raw = secret.encode()
    for text in (
        secret,
        quote(secret, safe=""),
        json.dumps(secret),
        base64.b64encode(before + raw + after).decode(),
        base64.urlsafe_b64encode(before + raw + after).decode(),
    ):
        assert scrub.text(text) != text


def test_chunks_of_one_stream_are_joined_before_they_are_checked(scrub):
    halves = (TOKEN[:9], TOKEN[9:])
    outputs = [{"output_type": "stream", "name": "stdout", "text": half} for half in halves]
    between = {"output_type": "display_data", "data": {"text/plain": "x"}}
    cleaned = scrub.data([between, *outputs, between])
    assert cleaned[0] == cleaned[2] == between
    assert cleaned[1]["text"] == "[secret: WANDB_TOKEN]"
    two = [{**outputs[0], "name": "stderr"}, outputs[1]]
    assert len(scrub.data(two)) == 2


def test_data_is_cleaned_throughout_and_the_input_is_left_alone(scrub):
    data = {"a": [TOKEN, 1, None, 2.5, True], TOKEN: {"b": (f"x {TOKEN}", "y")}}
    before = copy.deepcopy(data)
    cleaned = scrub.data(data)
    assert data == before
    mask = "[secret: WANDB_TOKEN]"
    assert cleaned == {"a": [mask, 1, None, 2.5, True], mask: {"b": (f"x {mask}", "y")}}


BENIGN = [
    "tokenizer.pad_token = tokenizer.eos_token",
    "tokenizer.pad_token_id = tokenizer.eos_token_id",
    'api_key = os.environ["WANDB_API_KEY"]',
    "HF_TOKEN = os.getenv('HF_TOKEN')",
    "headers = {'Authorization': f'Bearer {token}'}",
    "max_new_tokens=256, num_return_sequences=4",
    "model = AutoModel.from_pretrained('hf-internal-testing/tiny-random')",
    "hf_hub_download(repo_id, filename)  # hf_transfer",
    "sk-learn and task-specific disk-usage-of-everything-there-is-12345",
    "sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "secret_key = 'the key under the mat'",
    "mask_token='<mask>', sep_token='[SEP]'",
    "{'loss': 0.1234, 'grad_norm': 1.5e-07, 'learning_rate': 2e-05, 'epoch': 0.5}",
]


@pytest.mark.parametrize("line", BENIGN)
def test_machine_learning_text_is_left_alone(scrub, line):
    assert scrub.text(line) == line
    assert scrub.has_secret(line) is None


def test_words_of_tokenizers_in_the_environment_are_no_secrets(tmp_path):
    key = tmp_path / "id_rsa"
    key.write_text("x")
    scrub = Scrubber({
        "HOME": str(tmp_path), "EOS_TOKEN": "eos_token", "PAD_TOKEN": "<|endoftext|>",
        "SSH_KEY": str(key), "SHORT_KEY": "abc", "TOKENIZERS_PARALLELISM": "false-or-true",
    })  # fmt: skip
    text = f"tokenizer.eos_token = '<|endoftext|>' abc {key} false-or-true"
    assert scrub.text(text) == text


@pytest.mark.parametrize(
    "value",
    [
        "hf_" + "aB3dE6gH9j" * 3 + "klmn",
        "sk-proj-" + "aB3dE6gH9j" * 4,
        "sk-ant-api03-" + "aB3_E6-H9j" * 4,
        "ghp_" + "aB3dE6gH9j" * 3 + "klmnop",
        "github_pat_" + "aB3dE6gH9j" * 5,
        "AKIAIOSFODNN7EXAMPLE",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    ],
)
def test_secrets_nobody_told_us_are_known_by_their_shape(tmp_path, value):
    scrub = Scrubber({"HOME": str(tmp_path)})
    assert scrub.text(f"x={value};").startswith("x=[secret: a")
    assert scrub.has_secret(f'key = "{value}"')


def test_a_masked_json_text_is_still_json(scrub):
    text = json.dumps({"source": f"key = {json.dumps(TOKEN)}", "n": 1})
    assert json.loads(scrub.text(text))["n"] == 1


def test_token_files_and_later_changes_of_the_environment_are_known(tmp_path):
    environ = {"HOME": str(tmp_path)}
    scrub = Scrubber(environ, {"the person's key": "typed-in-key-1"})
    hub = tmp_path / ".cache" / "huggingface"
    hub.mkdir(parents=True)
    assert scrub.text("filetoken-1 typed-in-key-1") == "filetoken-1 [secret: the person's key]"
    (hub / "token").write_text("filetoken-1\n")
    (hub / "stored_tokens").write_text("[mine]\nhf_token = storedtoken-2\n")
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n login user\n password netrcword-3\n")
    environ["LATER_SECRET"] = "later-word-4"
    said = scrub.text("filetoken-1 storedtoken-2 netrcword-3 later-word-4")
    assert said == "[secret: token] [secret: stored_tokens] [secret: .netrc] [secret: LATER_SECRET]"
    (hub / "token").write_text("filetoken-one-5\n")
    assert "filetoken-one-5" not in scrub.text("filetoken-one-5")


def test_what_cannot_be_checked_is_withheld():
    class Hostile(dict):
        def __iter__(self):
            raise OSError("the environment is gone")

    scrub = Scrubber(Hostile())
    assert scrub.text("hello") == WITHHELD
    assert scrub.data({"a": "hello"}) == WITHHELD
    assert scrub.has_secret("hello") == WITHHELD


def test_data_nested_beyond_reason_is_withheld(scrub):
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert scrub.data(deep) == WITHHELD


def test_lone_surrogates_are_replaced(scrub):
    assert scrub.text("a\ud83db") == "a\ufffdb"
    assert scrub.data({"x\udc00": ["\ud800"]}) == {"x\ufffd": ["\ufffd"]}
    scrub.text("ok \ud800").encode("utf-8")


def test_a_large_text_is_checked_to_its_end(scrub):
    text = "loss 0.1 tokenizer.pad_token\n" * 50_000
    assert scrub.text(text) == text
    assert scrub.text(text + TOKEN) == text + "[secret: WANDB_TOKEN]"
