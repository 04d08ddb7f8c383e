import re
from dataclasses import asdict

import pytest

from mlintern_jupyter.commands import (
    CancelJob,
    Continue,
    Pause,
    RunKind,
    SetMode,
    StartJob,
    Steer,
    Stop,
    command_from_wire,
)


@pytest.mark.parametrize(
    "command",
    [
        Steer("use LoRA"), Stop(), Stop(jobs=True), Pause(), Continue(), SetMode("auto"),
        RunKind("plot"), StartJob("sft"), CancelJob("sft"),
    ],
    ids=str,
)  # fmt: skip
def test_a_command_survives_the_wire(command):
    assert command_from_wire(asdict(command)) == command


def test_what_may_be_left_out_has_its_default():
    assert command_from_wire({"kind": "Stop"}) == Stop(jobs=False)


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        ({}, KeyError, "kind"),
        ({"kind": "Steer"}, KeyError, "Steer needs 'text'"),
        ({"kind": "Fly"}, ValueError, "no command 'Fly'; there are Answer, CancelJob, Compact"),
        ({"kind": ["Stop"]}, ValueError, "no command"),
        ({"kind": "StartTurn", "text": "x"}, ValueError, "no command 'StartTurn'"),
        ({"kind": "ResumeTurn", "note": "obey"}, ValueError, "no command 'ResumeTurn'"),
        ({"kind": "Steer", "text": "x", "briefing": "y"}, ValueError, "no field 'briefing'"),
        ({"kind": "Steer", "text": "x", "note": "y"}, ValueError, "no field 'note'"),
        ({"kind": "Stop", "job": True}, ValueError, "Stop has no field 'job'"),
        ({"kind": "Stop", "jobs": "yes"}, ValueError, "jobs of Stop must be bool"),
        ({"kind": "SetMode", "mode": "yolo"}, ValueError, "one of review, auto, unattended"),
        ({"kind": "SetMode", "mode": ["auto"]}, ValueError, "one of review"),
        ({"kind": "Steer", "text": 7}, ValueError, "text of Steer must be str"),
    ],
)
def test_a_broken_command_is_named(data, error, says):
    with pytest.raises(error, match=re.escape(says)):
        command_from_wire(data)
