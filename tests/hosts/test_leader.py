"""Which of several pages inserts and runs cells."""

from __future__ import annotations

import pytest

from mlintern_jupyter.hosts.leader import Leader
from mlintern_jupyter.wire import LEAD_EXPIRES_S


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said():
    return []


@pytest.fixture
def leader(clock, said):
    return Leader(said.append, clock)


def test_the_first_page_to_say_hello_leads_and_the_second_follows(leader, said):
    leader.hello("c1", "left", take_lead=False)
    leader.hello("c2", "right", take_lead=False)
    assert (leader.leads("left"), leader.leads("right")) == (True, False)
    assert said == ["left"]


def test_the_page_whose_client_ran_the_magic_cell_leads(leader, said):
    leader.hello("c1", "left", take_lead=False)
    leader.hello("c2", "right", take_lead=False)
    leader.magic_ran("c2")
    assert leader.leads("right")
    assert said == ["left", "right"]


def test_a_client_that_ran_the_magic_cell_before_its_hello_leads_from_its_hello_on(leader, said):
    leader.hello("c1", "left", take_lead=False)
    leader.magic_ran("c2")
    assert leader.leads("left")
    leader.hello("c3", "other", take_lead=False)
    leader.hello("c2", "right", take_lead=False)
    assert said == ["left", "right"]


def test_following_here_moves_the_lead(leader, said):
    leader.hello("c1", "left", take_lead=False)
    leader.hello("c2", "right", take_lead=True)
    leader.hello("c1", "left", take_lead=False)
    assert said == ["left", "right"]


def test_a_reload_keeps_the_lead_as_the_page_keeps_its_name(leader, said):
    leader.hello("c1", "left", take_lead=False)
    leader.hello("c9", "left", take_lead=False)
    leader.magic_ran("c9")
    assert said == ["left"]


def test_goodbye_frees_the_lead_for_the_next_hello(leader, said):
    leader.hello("c1", "left", take_lead=False)
    leader.hello("c2", "right", take_lead=False)
    leader.bye("right")
    assert leader.leads("left")
    leader.bye("left")
    assert leader.has_no_page
    assert not leader.leads("left")
    leader.hello("c2", "right", take_lead=False)
    assert said == ["left", "", "right"]


def test_a_silent_leader_loses_its_place_to_the_next_hello_and_not_before(leader, said, clock):
    leader.hello("c1", "left", take_lead=False)
    clock.now += LEAD_EXPIRES_S
    leader.hello("c2", "right", take_lead=False)
    assert said == ["left"]
    clock.now += 1
    leader.hello("c2", "right", take_lead=False)
    assert said == ["left", "right"]


def test_asking_for_the_status_keeps_the_lead(leader, said, clock):
    leader.hello("c1", "left", take_lead=False)
    for _ in range(5):
        clock.now += LEAD_EXPIRES_S - 1
        leader.status_requested("left", at_work=True)
        leader.status_requested("right", at_work=True)
    assert said == ["left"]


def test_a_follower_takes_over_from_a_silent_leader_only_while_there_is_work(leader, said, clock):
    leader.hello("c1", "left", take_lead=False)
    clock.now += LEAD_EXPIRES_S + 1
    leader.status_requested("right", at_work=False)
    assert leader.leads("left")
    leader.status_requested("right", at_work=True)
    assert said == ["left", "right"]


def test_a_peer_without_a_name_is_alone_and_always_leads(leader, said):
    leader.hello("c1", "", take_lead=False)
    leader.magic_ran("c1")
    leader.bye("nobody")
    assert leader.leads("")
    assert said == []
    assert not leader.has_no_page


class TestInAKernel:
    def test_two_pages_are_told_who_leads_in_replies_and_on_every_change(self, loaded):
        right = loaded.as_client(loaded.another_client())
        assert loaded.hello(tab="left")["leads"]
        assert loaded.next("leads") == {
            "kind": "leads",
            "tab": "left",
            "seq": 0,
            "boot": loaded.boot,
        }
        assert not right.hello(tab="right")["leads"]
        assert not right.status(tab="right")["leads"]
        right.start("idle")
        assert loaded.next("leads")["tab"] == "right"
        assert right.status(tab="right")["leads"]
        assert not loaded.status(tab="left")["leads"]
        assert loaded.hello(tab="left", take_lead=True)["leads"]
        assert loaded.next("leads")["tab"] == "left"
        assert loaded.ask({"kind": "bye", "tab": "left"})["ok"]
        assert loaded.next("leads")["tab"] == ""
        assert right.hello(tab="right")["leads"]

    def test_when_the_last_page_said_goodbye_nobody_is_there(self, peer):
        load = peer.send("%load_ext stub_intern")
        peer.next("ping")
        peer.hello(tab="only")
        peer.reply(load)
        peer.ask({"kind": "bye", "tab": "only"})
        check = "import stub_intern; assert stub_intern.BRIDGE.peer is None"
        assert peer.run(check)["status"] == "ok"

    def test_the_client_of_the_running_cell_is_known(self, loaded):
        other = loaded.another_client()
        check = f"assert stub_intern.BRIDGE.current_client == {other.session.session!r}"
        assert loaded.as_client(other).run(f"import stub_intern\n{check}")["status"] == "ok"
