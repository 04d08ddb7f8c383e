"""Questions that only the person's word answers: a call waits here, and no clock runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

from mlintern_jupyter.commands import Answer
from mlintern_jupyter.events import Answered, Asked, Fact
from mlintern_jupyter.protocols import Attention

SPOKE_INSTEAD = "the person said something instead of an answer; read it"


class Approvals:
    """The open questions of a session; lives on the worker's loop."""

    def __init__(self, commit: Callable[[Fact], int]) -> None:
        self._commit = commit
        self._open: dict[str, asyncio.Future[Answered]] = {}

    async def ask(
        self,
        question: Asked,
        attention: Attention,
        waiting: Callable[[], AbstractContextManager[None]],
    ) -> Answered:
        """Wait for the answer to a question that was committed.

        Words of the person meanwhile are a no: they are for the model to read first.
        """
        answer = self._open[question.call] = asyncio.get_running_loop().create_future()
        spoke = asyncio.ensure_future(attention.wait())
        try:
            with waiting():
                await asyncio.wait({answer, spoke}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            answered = Answered(question.call, yes=False, reason=SPOKE_INSTEAD)
            self._commit(answered)
            return answered
        finally:
            spoke.cancel()
            self._open.pop(question.call, None)

    def answer(self, command: Answer) -> None:
        """The first answer counts; one to a question that is not open does nothing."""
        waiting = self._open.get(command.call)
        if waiting is None or waiting.done():
            return
        answered = Answered(command.call, command.yes, command.reason)
        self._commit(answered)
        waiting.set_result(answered)
