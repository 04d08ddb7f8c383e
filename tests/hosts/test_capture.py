from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlintern_jupyter.cells import RECORD_MIME
from mlintern_jupyter.hosts import capture as module
from mlintern_jupyter.hosts.capture import Capture, OutputTap, records_of
from mlintern_jupyter.hosts.person_cells import addresses_the_intern, first_line, names_bound
from mlintern_jupyter.outputs import StreamText


def stream(text, name="stdout"):
    return "stream", {"name": name, "text": text}


def display(data, display_id=None, kind="display_data"):
    return kind, {"data": data, "metadata": {}, "transient": {"display_id": display_id}}


def captured(*messages):
    capture = Capture("p")
    for message in messages:
        capture.see(*message)
    return capture.finish()


class TestStreamText:
    @pytest.mark.parametrize(
        ("pieces", "shown"),
        [
            (["a\rb"], "b"),
            (["abc\rx"], "xbc"),
            (["abc\r", "xy\n"], "xyc\n"),
            (["10%\r", "20%\r", "done\n", "next"], "done\nnext"),
            (["a\r\nb\r\n"], "a\nb\n"),
            (["ab\b\bX"], "Xb"),
        ],
    )
    def test_shows_what_a_terminal_shows(self, pieces, shown):
        text = StreamText(1000)
        for piece in pieces:
            text.write(piece)
        assert str(text) == shown

    @given(st.lists(st.text("ab\n\r\b", max_size=6), max_size=12))
    def test_does_not_depend_on_how_the_stream_was_cut(self, pieces):
        cut, whole = StreamText(1000), StreamText(1000)
        for piece in pieces:
            cut.write(piece)
        whole.write("".join(pieces))
        assert str(cut) == str(whole)

    @given(st.lists(st.text("abc\n", max_size=40), max_size=60))
    def test_keeps_both_ends_and_says_how_much_is_missing(self, pieces):
        text = StreamText(40)
        for piece in pieces:
            text.write(piece)
        whole, shown = "".join(pieces), str(text)
        if "characters left out" not in shown:
            assert shown == whole
            return
        head, _, rest = shown.partition("\n... ")
        number, _, tail = rest.partition(" characters left out ...\n")
        assert whole.startswith(head)
        assert whole.endswith(tail)
        assert len(head) == 20
        assert len(head) + len(tail) + int(number.replace(",", "")) == len(whole)

    def test_a_night_of_progress_bars_costs_one_line(self):
        text = StreamText(1000)
        for step in range(20_000):
            text.write(f"\rstep {step}")
        assert str(text) == "step 19999"


class TestCapture:
    def test_neighbouring_pieces_of_a_stream_are_one_output(self):
        outputs = captured(stream("a"), stream("b"), stream("!", "stderr"), stream("c"))
        assert [(o["name"], o["text"]) for o in outputs] == [
            ("stdout", "ab"), ("stderr", "!"), ("stdout", "c"),
        ]  # fmt: skip

    def test_clearing_forgets_at_once_or_with_the_next_output(self):
        now = captured(stream("old"), ("clear_output", {"wait": False}))
        assert now == ()
        waiting = captured(stream("old"), ("clear_output", {"wait": True}))
        assert waiting[0]["text"] == "old"
        then = captured(stream("old"), ("clear_output", {"wait": True}), stream("new"))
        assert [o["text"] for o in then] == ["new"]

    def test_a_display_update_changes_every_output_of_that_id(self):
        outputs = captured(
            display({"text/plain": "1"}, "x"),
            display({"text/plain": "2"}, "x"),
            display({"text/plain": "3"}, "x", "update_display_data"),
        )
        assert [o["data"]["text/plain"] for o in outputs] == ["3", "3"]

    def test_too_much_text_keeps_its_ends(self, monkeypatch):
        monkeypatch.setattr(module, "TEXT_LIMIT", 1000)
        plain = [display({"text/plain": str(i) * 100}) for i in range(10, 60)]
        outputs = captured(*plain)
        assert outputs[0]["data"]["text/plain"].startswith("1010")
        assert outputs[-1]["data"]["text/plain"].startswith("5959")
        assert any("outputs left out" in o.get("text", "") for o in outputs)

    def test_many_outputs_keep_their_ends_and_every_record_and_error(self):
        record = display({RECORD_MIME: {"v": 1}, "text/plain": "r"})
        error = ("error", {"ename": "E", "evalue": "v", "traceback": []})
        noise = [display({"text/plain": str(i)}) for i in range(1000)]
        outputs = captured(*noise[:150], record, error, *noise[150:])
        assert len(outputs) < 210
        assert len(records_of(outputs)) == 1
        assert "error" in [o["output_type"] for o in outputs]
        assert outputs[-1]["data"]["text/plain"] == "999"

    def test_a_picture_too_large_is_named_not_kept(self):
        big = display({"image/png": "x" * (module.IMAGE_LIMIT + 1), "text/plain": "fig"})
        data = captured(big)[0]["data"]
        assert list(data) == ["text/plain"]
        assert data["text/plain"].startswith("fig\n[image/png, ")


class FakeSession:
    def __init__(self):
        self.sent = []

    def send(self, stream, msg, content=None, parent=None, **kw):
        self.sent.append(msg)
        return msg


class TestTheTap:
    def test_hears_only_the_cell_it_listens_to(self):
        session = FakeSession()
        tap = OutputTap(session)
        tap.capture = Capture("mine")
        session.send(None, *stream("yes"), {"msg_id": "mine"})
        session.send(None, *stream("no"), {"msg_id": "other"})
        session.send(None, "status", {}, {"msg_id": "mine"})
        assert [o["text"] for o in tap.capture.finish()] == ["yes"]
        assert session.sent == ["stream", "stream", "status"]

    def test_a_message_it_cannot_read_still_goes_out(self):
        session = FakeSession()
        tap = OutputTap(session)
        tap.capture = Capture("mine")
        session.send(None, "stream", {"no": "text"}, {"msg_id": "mine"})
        assert session.sent == ["stream"]

    def test_leaves_no_trace(self):
        session = FakeSession()
        OutputTap(session).close()
        assert "send" not in vars(session)

    def test_under_another_wrapper_stays_and_hears_nothing(self):
        session = FakeSession()
        tap = OutputTap(session)
        tap.capture = Capture("mine")
        inner = session.send
        session.send = lambda *args, **kw: inner(*args, **kw)
        tap.close()
        session.send(None, *stream("late"), {"msg_id": "mine"})
        assert session.sent == ["stream"]


class TestOwnCells:
    def test_the_first_line_is_code_where_there_is_any(self):
        assert first_line("\n# comment\nx = 1\ny") == "x = 1"
        assert first_line("# only") == "# only"
        assert first_line("") == ""

    def test_names_bound_at_the_top_level(self):
        code = (
            "a = b = 1\nc: int = 2\nd += 1\n(e, *f), g.h, i[0] = x\n"
            "def fn(p): q = 1\nclass K: r = 1\nwith open(z) as w: pass\n"
            "[n for n in y]\nimport os.path, sys as s\n"
        )
        expected = ("a", "b", "c", "d", "e", "f", "fn", "K", "w", "os", "s")
        assert names_bound(code) == expected
        assert names_bound("!ls (") == ()

    @pytest.mark.parametrize(
        "source", ["%%intern improve x", "# note\n%%intern", "%intern stop", "%load_ext mlintern_x"]
    )
    def test_talk_with_the_intern_is_no_cell_of_the_person(self, source):
        assert addresses_the_intern(source)

    @pytest.mark.parametrize("source", ["intern % 2", "%%time\nx", "%internal", "%jobs"])
    def test_anything_else_is(self, source):
        assert not addresses_the_intern(source)
