"""What a person typed after ``--model``, turned into a plan of whom to ask and with which key.

Nothing heavy is imported here, so a wrong name or a missing key is said at once. The providers are
data: `providers.toml`. A plan holds the *name* of the variable with the key, never the key.

``package.module:Class`` names a model of one's own; it is imported by `factory`, not here.

Not covered: whether the provider knows the model (it is asked at the first call), and what nobody
said of its price and context (`litellm.client` reads litellm's own list,
`litellm.probe` asks the server).
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.usage import Price

PLAYBOOK = "playbook"
LITELLM = "mlintern_jupyter.models.litellm.client:LitellmModel"
_EXAMPLES = ("playbook", "anthropic/claude-sonnet-4-5", "openai/gpt-5.1", "ollama/qwen3:8b")
_CUSTOM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_FAMILIES = {
    "claude": "anthropic",
    "gpt": "openai",
    "o3": "openai",
    "o4": "openai",
    "gemini": "gemini",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "grok": "xai",
    "qwen": "ollama",
    "llama": "ollama",
}
_STRICT = ("mistral", "mixtral", "ministral", "magistral", "codestral", "devstral", "pixtral")
"""Families that refuse words of the user right after a tool's result, whoever serves them."""
MALICIOUS = frozenset({"1.82.7", "1.82.8"})
"""Uploads of litellm that steal credentials; they must not even be imported."""


@dataclass(frozen=True)
class ModelPlan:
    """Whom to ask, and how; everything but the key itself."""

    name: str
    """As the person typed it."""
    load: str
    """Dotted path of the class that carries the plan out; called with the plan alone."""
    route: str
    """The name litellm is given."""
    api_base: str | None
    """``None``: litellm knows the address."""
    key_variable: str | None
    """Variable that holds the key, or would; ``None`` when there is no key to speak of."""
    key_present: bool
    unmetered: bool
    """On a loopback or private address, or no language model at all."""
    price: Price | None
    """Only what the person said; the listed price is looked up later."""
    listed: bool = False
    """litellm's own list of prices and context sizes speaks of this very endpoint."""
    local: bool = False
    """The provider is a server of one's own."""
    cache_prompt: bool = False
    """The prompt has to be marked for the provider's cache."""
    authenticates_itself: bool = False
    """litellm finds the credentials itself (Bedrock)."""
    get_key: str = ""
    """Where a person gets a key."""
    key_file: str = ""
    """A login of another program that will do as the key; only ``huggingface``."""
    context_tokens: int | None = None
    """Only what the person said; the list and the server are asked later."""
    hosts: tuple[str, ...] = ()
    """Patterns of the hosts that may be asked where litellm alone knows the address."""
    replay: str = ""
    """Which reasoning goes back with the calls it led to: ``thinking_blocks`` (Anthropic's signed
    blocks), ``reasoning_details`` (OpenRouter), ``reasoning_content``, or none."""
    probe: str = ""
    """Whose catalogue tells context and price; empty: an OpenAI-compatible list of models."""
    folds: bool = False
    """Words of the user after a tool's result have to stand in the result (Mistral)."""
    responses: bool = False
    """Asked over OpenAI's Responses API: ``openai/responses/NAME``, or the client found out."""

    @property
    def listed_name(self) -> str:
        """The name as lists have it."""
        return self.name.replace("/responses/", "/", 1) if self.responses else self.name


@cache
def providers() -> dict[str, dict[str, Any]]:
    """The table of providers, by prefix."""
    return tomllib.loads(Path(__file__).with_name("providers.toml").read_text(encoding="utf-8"))


def resolve(
    name: str,
    *,
    api_base: str | None,
    price: Price | None,
    env: Mapping[str, str],
    context: int | None = None,
) -> ModelPlan:
    """The plan for a model's name; ``playbook:7`` is the playbook with seed 7.

    ``price`` and ``context`` are what the person said; both come before anything a list or a
    server says.

    Raises:
        UsageError: no such provider, no model after the prefix, a bad address, or no key; says
            which variable to set and where to get what goes into it.
    """
    name = name.strip()
    if re.fullmatch(rf"{PLAYBOOK}(:\d+)?", name):
        load = "mlintern_jupyter.models.playbook.planner:Playbook"
        return ModelPlan(name, load, name, None, None, False, unmetered=True, price=None)
    if _is_custom_class(name):
        return ModelPlan(name, name, name, None, None, False, False, price, context_tokens=context)
    prefix, slash, rest = name.partition("/")
    provider = providers().get(prefix)
    responses = provider is not None and "responses" in provider and rest.startswith("responses/")
    rest = rest.removeprefix("responses/") if responses else rest
    if provider is None or not slash or not rest.strip("/ "):
        raise _unknown(name, prefix, bool(slash))
    base = _base(name, provider, api_base, env)
    private = base is not None and is_private(base)
    keys: list[str] = provider["keys"]
    # A key of a public provider is not handed to whatever listens on a private address.
    wanted = keys if provider.get("local") or not private else []
    variable = next((key for key in wanted if env.get(key)), wanted[0] if wanted else None)
    plan = ModelPlan(
        name=name,
        load=LITELLM,
        route=f"{provider.get('route', prefix)}/{rest}",
        api_base=base,
        key_variable=variable,
        key_present=False,
        unmetered=private and price is None,
        price=price,
        # Azure's address is the person's own, and its prices are still the listed ones.
        listed=not private and (base == provider.get("base") or bool(provider.get("needs_base"))),
        local=bool(provider.get("local")),
        cache_prompt="cache" in provider and provider["cache"] in rest,
        authenticates_itself=bool(provider.get("authenticates_itself")),
        get_key=provider.get("get_key", "the one who runs the server"),
        key_file=provider.get("key_file", ""),
        context_tokens=context,
        hosts=tuple(provider.get("hosts", ())),
        replay=_replay(provider, base),
        probe=provider.get("probe", ""),
        folds=any(family in name.lower() for family in _STRICT),
        responses=responses,
    )
    present = bool(key_of(plan, env))
    if not present and not private and not plan.local:
        raise UsageError(
            f"{name} needs a key, and {' or '.join(keys)} is not set",
            do=f"get one from {plan.get_key}, then set {variable} in the environment of Jupyter "
            f"(or `%env {variable}=...` in a cell you do not save); without a key, "
            "`--model playbook` works",
        )
    return replace(plan, key_present=present)


def _is_custom_class(name: str) -> bool:
    """Whether it is written ``package.module:Class``; ``qwen3:latest`` is a model's tag."""
    module = name.partition(":")[0]
    tag = "." not in module and (module in providers() or _family(name) is not None)
    return _CUSTOM.fullmatch(name) is not None and not tag


def _family(name: str) -> str | None:
    return next((p for word, p in _FAMILIES.items() if name.lower().startswith(word)), None)


def _replay(provider: dict[str, Any], base: str | None) -> str:
    """What the table says; of unknown servers behind ``openai/``, that they want reasoning back."""
    if base is not None and base != provider.get("base") and "replay_elsewhere" in provider:
        return provider["replay_elsewhere"]
    return provider.get("replay", "")


def is_planned_host(plan: ModelPlan, url: str) -> bool:
    """Whether a request may go to this address: the plan's own server and no other."""
    if plan.api_base is not None:
        return _origin(url) == _origin(plan.api_base)
    scheme, host, _ = _origin(url)
    return scheme == "https" and any(fnmatchcase(host, pattern) for pattern in plan.hosts)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").rstrip(".").lower(), port


def key_of(plan: ModelPlan, env: Mapping[str, str]) -> str | None:
    """The key as it is now; read at each call, because keys expire and are replaced."""
    if plan.key_variable is None:
        return None
    value = env.get(plan.key_variable, "").strip()
    if not value and plan.key_file == "huggingface":
        value = _hub_login(env)
    return value or None


def _hub_login(env: Mapping[str, str]) -> str:
    """What ``hf auth login`` left behind."""
    home = Path(env.get("HF_HOME") or Path(env.get("HOME", "~")) / ".cache" / "huggingface")
    path = Path(env.get("HF_TOKEN_PATH") or home / "token").expanduser()
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def is_private(url: str) -> bool:
    """Whether an address is this machine or a private network, by its spelling alone (no DNS)."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_link_local


def _base(
    name: str, provider: dict[str, Any], api_base: str | None, env: Mapping[str, str]
) -> str | None:
    said = next((env[v] for v in provider.get("base_env", ()) if env.get(v)), None)
    base = (api_base or said or provider.get("base") or "").strip().rstrip("/")
    if not base:
        if provider.get("needs_base"):
            raise UsageError(
                f"{name} needs an address", do=f"set --api-base: {provider['example']}"
            )
        return None
    # People paste the address of the endpoint itself, too.
    base = re.sub(r"/(chat/completions|messages|responses)$", "", base).rstrip("/")
    parts = _address(base)
    if provider.get("base_suffix"):
        return base.removesuffix("/v1").removesuffix("/openai") + provider["base_suffix"]
    if provider.get("version") and not parts.path:
        return base + provider["version"]
    return base.removesuffix("/v1") if provider.get("style") == "bare" else base


def _address(base: str) -> SplitResult:
    try:
        parts = urlsplit(base)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
        parts = urlsplit("")
    if not good:
        raise UsageError(
            f"{base} is not the address of a server", do="write it as http://host:port/v1"
        )
    return parts


def _unknown(name: str, prefix: str, has_prefix: bool) -> UsageError:
    known = providers()
    near = difflib.get_close_matches(prefix.lower(), [PLAYBOOK, *known], n=1, cutoff=0.6)
    family = _family(name)
    if prefix in known:
        guess = f"name a model after the prefix, e.g. {known[prefix]['example']}. "
    elif near:
        guess = f"did you mean {near[0]}{name[len(prefix) :]}? "
    elif family and not has_prefix:
        guess = f"did you mean {family}/{name}? "
    else:
        guess = ""
    what = f"there is no provider {prefix!r}" if has_prefix else f"{name!r} names no provider"
    if prefix in known:
        what = f"{name!r} names no model"
    return UsageError(
        what,
        do=f"{guess}Models are written provider/model: {', '.join(_EXAMPLES)}. "
        f"Providers: {', '.join(known)}. Any OpenAI-compatible server: "
        "openai/<model> with --api-base. A model of your own: package.module:Class",
    )


def litellm_problem() -> str:
    """Why litellm must not or cannot be imported; empty when it is fine. Imports nothing."""
    try:
        version = metadata.version("litellm")
    except metadata.PackageNotFoundError:
        return "litellm is not installed"
    if version in MALICIOUS:
        return (
            f"litellm {version} is a malicious upload that steals credentials: uninstall it, "
            "replace every key that was on this machine, and install litellm>=1.106.2"
        )
    return ""
