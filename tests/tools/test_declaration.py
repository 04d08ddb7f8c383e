"""What a function may say of itself under ``@tool``, and what a yes to its call is bound to."""

from __future__ import annotations

import pytest

from mlintern_jupyter import tool
from mlintern_jupyter.errors import ToolError, UsageError
from mlintern_jupyter.policy.gate import Gate, sha256_of
from mlintern_jupyter.policy.rules import Rules, parse_rules
from mlintern_jupyter.protocols import CallTerms
from mlintern_jupyter.tools.custom.declaration import declared

GRANT_OF_A_RECORD = "84f1039bc182a111baa3c39a25630bfec1fbf2d48918d157d824b6f8b3ac0126"
HOSTS, KEYS = {"api.example.org"}, {"EXAMPLE_API_KEY"}


def test_a_tool_with_a_host_never_passes_for_one_that_only_reads():
    assert declared({"read"}, HOSTS).effects == ("read", "network-write")
    assert declared({"read"}).effects == ("read",)
    assert declared((), HOSTS).effects == (), "a host alone declares no effects"


@pytest.mark.parametrize(
    ("hosts", "keys", "said"),
    [
        ((), KEYS, "nobody has said where EXAMPLE_API_KEY is sent"),
        ({"https://api.example.org"}, KEYS, "https://api.example.org is no host"),
        ({"*.example.org"}, KEYS, "*.example.org is no host"),
        ({"api.example.org/v1"}, KEYS, "is no host"),
        ({""}, KEYS, "is no host"),
        ({f"h{n}.org" for n in range(5)}, (), "at most 4 hosts"),
        (HOSTS, {f"A{n}_KEY" for n in range(5)}, "at most 4 keys"),
        (HOSTS, {"PATH"}, "PATH is no name of a key"),
        (HOSTS, {"LD_PRELOAD"}, "LD_PRELOAD is no name of a key"),
        (HOSTS, {"A_KEY=1"}, "is no name of a key"),
        (HOSTS, {"HF_TOKEN"}, "HF_TOKEN is sent to huggingface.co"),
        ({"huggingface.co", "api.example.org"}, {"HF_TOKEN"}, "and nowhere else"),
    ],
)
def test_what_cannot_be_meant_is_refused(hosts, keys, said):
    with pytest.raises(UsageError) as caught:
        declared({"read"}, hosts, keys)
    assert said in str(caught.value)


def test_hosts_with_a_port_and_keys_of_the_shipped_list_are_taken():
    assert declared({"read"}, {"127.0.0.1:8080", "localhost"}).hosts == (
        "127.0.0.1:8080",
        "localhost",
    )
    assert declared({"read"}, "huggingface.co", "HF_TOKEN").keys == ("HF_TOKEN",)


def test_a_function_of_a_cell_can_have_hosts_but_no_keys():
    source = "def peek(term: str) -> str:\n    return term\n"
    namespace = {"__name__": "__main__"}
    exec(source, namespace)
    assert tool(effects={"read"}, hosts=HOSTS)(namespace["peek"]) is namespace["peek"]
    with pytest.raises(UsageError, match="peek cannot be given EXAMPLE_API_KEY"):
        tool(effects={"read"}, hosts=HOSTS, keys=KEYS)(namespace["peek"])


def terms(hosts: tuple[str, ...] = (), keys: tuple[str, ...] = ()) -> CallTerms:
    return CallTerms("define_term", frozenset({"network-write"}), hosts=hosts, keys=keys)


def test_a_yes_to_one_host_and_key_is_no_yes_to_another():
    allowed = parse_rules('[[rule]]\nverdict = "allow"', "mine")
    gate = Gate(Rules(allowed), lambda: "review", lambda: ())
    for other in (terms(("b.org",), ("A_KEY",)), terms(("a.org",), ("B_KEY",)), terms(("a.org",))):
        grant = gate.grant(gate.judge(terms(("a.org",), ("A_KEY",)), {}))
        with pytest.raises(ToolError, match="what it would do now is not what was allowed"):
            grant.use(other, {})


def test_a_grant_of_a_record_from_before_hosts_were_declared_is_the_same_today():
    assert sha256_of(terms(), {"term": "x"}) == GRANT_OF_A_RECORD
