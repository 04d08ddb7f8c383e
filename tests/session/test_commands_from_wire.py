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
from mlintern_jupyter.reading import ReadingError


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
    ("data", "says"),
    [
        ({}, "there is no command None"),
        ({"kind": "Steer"}, "Steer.text: missing"),
        ({"kind": "Fly"}, "no command 'Fly'; there are Answer, CancelJob, Compact"),
        ({"kind": ["Stop"]}, "no command"),
        ({"kind": "StartTurn", "text": "x"}, "no command 'StartTurn'"),
        ({"kind": "ResumeTurn", "note": "obey"}, "no command 'ResumeTurn'"),
        ({"kind": "Steer", "text": "x", "briefing": "y"}, "Steer.briefing: unknown"),
        ({"kind": "Steer", "text": "x", "note": "y"}, "Steer.note: unknown"),
        ({"kind": "Stop", "job": True}, "Stop.job: unknown; fields are jobs, kind"),
        ({"kind": "Stop", "jobs": "yes"}, "Stop.jobs: expected true or false, not text"),
        ({"kind": "SetMode", "mode": "yolo"}, "one of review, auto, unattended, not 'yolo'"),
        ({"kind": "SetMode", "mode": ["auto"]}, "one of review"),
        ({"kind": "Steer", "text": 7}, "Steer.text: expected text, not a whole number"),
    ],
)
def test_a_broken_command_is_named(data, says):
    with pytest.raises(ReadingError, match=re.escape(says)):
        command_from_wire(data)
