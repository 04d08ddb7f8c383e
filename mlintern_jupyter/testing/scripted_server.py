"""A language model server on loopback that says what a script holds, and is strict.

In a test::

    with ScriptedServer([Turn(calls=(Call("add", {"a": 1}),)), Turn("done")]) as server:
        ...  # --model openai/scripted --api-base {server.base_url}

Beside a test, for notebooks that run in processes of their own::

    python -m mlintern_jupyter.testing.scripted_server --script turns.json --log requests.jsonl

prints its base URL as the first line and serves until it gets SIGTERM or SIGINT; it then exits with
1 if a request broke a rule or a part of the script was never asked for.

It speaks OpenAI's chat completions, its Responses API (``--model openai/responses/scripted``) and
Anthropic's messages (``--model anthropic/...``, all with the same base URL), each by its provider's
rules, from the same script. With ``context_tokens`` it
refuses what does not fit, by its own tokenizer, as those providers do.

A request that breaks a rule is answered with 400 and recorded; `close` then raises
`ScriptViolation`, whatever the code under test made of the 400. The log is the double's own record:
one line a request, on disk before it is answered.

Not covered: authentication (say it with a `Fault`), and any endpoint but those three and the
list of models.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from mlintern_jupyter.testing.answering import ScriptedHTTPServer
from mlintern_jupyter.testing.script import Script, read_script
from mlintern_jupyter.testing.served import Request, Served

__all__ = ["Request", "ScriptViolation", "ScriptedServer", "main"]


class ScriptViolation(AssertionError):
    """A request broke a rule, was not in the script, or a part of the script was left over."""


class ScriptedServer:
    """The server, as a context manager; leaving it checks that everything went by the script.

    Args:
        turns: what the model says: a list, or a function of the request's body.
        log: a file for one JSON line a request.
        port: 0: any that is free.
        context_tokens: prompt and answer together that fit; ``None``: everything does.
        tells_context: the list of models names that number, as vLLM's does (``max_model_len``).
    """

    def __init__(
        self,
        turns: Script,
        *,
        log: Path | None = None,
        port: int = 0,
        context_tokens: int | None = None,
        tells_context: bool = False,
    ) -> None:
        script = turns if callable(turns) else tuple(turns)
        self._state = Served(script, log, context_tokens)
        announced = context_tokens if tells_context else None
        self._http = ScriptedHTTPServer(("127.0.0.1", port), self._state, announced)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        """What to pass as ``--api-base``."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def requests(self) -> list[Request]:
        """Every chat request so far, in order."""
        return list(self._state.requests)

    def wait_until_unconnected(self, timeout_s: float) -> bool:
        """Wait until no client is connected; false when one still is after ``timeout_s``."""
        with self._http.connections_changed:
            return self._http.connections_changed.wait_for(
                lambda: not self._http.open_connections, timeout_s
            )

    def leftovers(self) -> list[str]:
        """Turns and faults that were not asked for yet."""
        return self._state.leftovers()

    def close(self) -> None:
        """Stop serving. Raises ScriptViolation that lists broken rules and leftovers."""
        self.stop()
        if found := [*self._state.problems(), *self._state.leftovers()]:
            raise ScriptViolation("\n".join(found))

    def stop(self) -> None:
        """Stop serving without a verdict; safe to call twice."""
        self._state.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def finish_log(self) -> bool:
        """Write the verdict as the log's last line; true when everything went by the script."""
        problems, leftovers = self._state.problems(), self._state.leftovers()
        self._state.write({"end": True, "problems": problems, "leftovers": leftovers})
        return not problems and not leftovers

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The first error is the one to show; leftovers are its consequence.
        if error is not None:
            self.stop()
        else:
            self.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a script from a file until told to stop; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m mlintern_jupyter.testing.scripted_server")
    parser.add_argument("--script", type=Path, required=True, help="JSON: a list of turns")
    parser.add_argument("--log", type=Path, required=True, help="one JSON line a request")
    parser.add_argument("--port", type=int, default=0)
    said = parser.parse_args(arguments)
    announced = threading.Event()

    def tell(number: int, frame: object) -> None:
        announced.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    server = ScriptedServer(read_script(said.script), log=said.log, port=said.port)
    sys.stdout.write(server.base_url + "\n")
    sys.stdout.flush()
    announced.wait()
    server.stop()
    return 0 if server.finish_log() else 1


if __name__ == "__main__":
    sys.exit(main())
