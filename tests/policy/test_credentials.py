import os
import subprocess
import sys
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from mlintern_jupyter.policy.credentials import Credentials
from mlintern_jupyter.policy.scrub import Scrubber

KEY, SECRET = "MLINTERN_TEST_KEY", "canary-key-0123456789"
TOKEN = "hf_canarycanarycanarycanarycanarycan"


@pytest.fixture
def environ():
    return {KEY: SECRET, "HF_TOKEN": TOKEN, "PATH": "/bin"}


class TestHiding:
    def test_takes_the_named_variables_and_no_other_away_and_puts_them_back(self, environ):
        before = dict(environ)
        with Credentials([KEY, "NOT_SET"], environ).hidden():
            assert environ == {"HF_TOKEN": TOKEN, "PATH": "/bin"}
        assert environ == before

    def test_leaves_the_keys_to_who_reads_through_it(self, environ):
        whole = dict(environ)
        credentials = Credentials([KEY, "HF_TOKEN"], environ)
        with credentials.hidden():
            assert dict(credentials) == whole
            assert (credentials.get(KEY), len(credentials)) == (SECRET, 3)
            assert credentials.get("NOT_SET") is None
        assert dict(credentials) == whole

    def test_lasts_until_the_outermost_ends(self, environ):
        credentials = Credentials([KEY], environ)
        with credentials.hidden():
            with credentials.hidden():
                assert KEY not in environ
            assert KEY not in environ
        assert environ[KEY] == SECRET

    def test_takes_what_was_added_later_away_from_the_next_time_on(self, environ):
        credentials = Credentials([KEY], environ)
        with credentials.hidden():
            credentials.add(["HF_TOKEN"])
            assert "HF_TOKEN" in environ
        with credentials.hidden():
            assert environ == {"PATH": "/bin"}
        assert environ["HF_TOKEN"] == TOKEN

    def test_keeps_what_the_cell_set_meanwhile(self, environ):
        credentials = Credentials([KEY, "HF_TOKEN"], environ)
        with credentials.hidden():
            environ[KEY] = "mine"
            with credentials.hidden():
                assert environ[KEY] == "mine"
        assert (environ[KEY], environ["HF_TOKEN"]) == ("mine", TOKEN)

    def test_ends_when_the_cell_fails(self, environ):
        with pytest.raises(KeyboardInterrupt), Credentials([KEY], environ).hidden():
            raise KeyboardInterrupt
        assert environ[KEY] == SECRET

    def test_that_never_began_is_ended_without_harm(self, environ):
        credentials = Credentials([KEY], environ)
        credentials.show()
        with credentials.hidden():
            assert KEY not in environ
        assert environ[KEY] == SECRET

    def test_never_loses_a_key_between_threads(self, environ):
        credentials = Credentials([KEY], environ)
        missed = []

        def work():
            for _ in range(300):
                with credentials.hidden():
                    if KEY in environ or credentials.get(KEY) != SECRET:
                        missed.append(1)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not missed
        assert environ[KEY] == SECRET

    def test_lets_the_scrubber_know_them_all_the_time(self, environ):
        credentials = Credentials([KEY], environ)
        scrub = Scrubber(credentials)
        with credentials.hidden():
            assert SECRET not in scrub.text(f"it says {SECRET}")

    def test_keeps_them_from_programs_and_forks_of_the_process(self):
        code = f"""
import os, subprocess, sys
from mlintern_jupyter.policy.credentials import Credentials

look = "import os; print(os.environ.get('{KEY}'), '{SECRET}' in open('/proc/self/environ').read())"
with Credentials(["{KEY}"]).hidden():
    print(os.getenv("{KEY}"), flush=True)
    subprocess.run([sys.executable, "-c", look], check=True)
    if os.fork() == 0:
        print(os.environ.get("{KEY}"), flush=True)
        os._exit(0)
    os.wait()
print(os.environ["{KEY}"])
"""
        told = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, KEY: SECRET},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert told.splitlines() == ["None", "None False", "None", SECRET]


REFUSED = {
    "another host": "https://evil.example/api",
    "user info": "https://huggingface.co@evil.example/",
    "user info before the right host": "https://a:b@huggingface.co/",
    "look-alike suffix": "https://huggingface.co.evil.example/",
    "look-alike prefix": "https://evil-huggingface.co/",
    "subdomain nobody listed": "https://cdn.huggingface.co/",
    "another port": "https://huggingface.co:8443/",
    "Cyrillic letter": "https://huggingf\u0430ce.co/",
    "the same in punycode": "https://xn--huggingfce-6yi.co/",
    "full-width dot": "https://huggingface\uff0eco/",
    "IPv6": "https://[::1]/",
    "an IPv6 address with the name as its zone": "https://[fe80::1%25huggingface.co]/",
    "IPv4": "https://127.0.0.1/",
    "trailing dot": "https://huggingface.co./",
    "no encryption": "http://huggingface.co/",
    "backslash": "https://huggingface.co\\@evil.example/",
    "backslash before a path": "https://evil.example\\huggingface.co/",
    "tab in the name": "https://hugging\tface.co/",
    "line break": "https://huggingface.co\r\nHost: evil.example/",
    "blank in front": " https://huggingface.co/",
    "percent-encoded": "https://huggingface%2Eco/",
    "host after a hash": "https://evil.example#huggingface.co/",
    "host after a question mark": "https://evil.example?@huggingface.co/",
    "no host": "https:///huggingface.co/",
    "no scheme": "//huggingface.co/",
    "another scheme": "ftp://huggingface.co/",
    "half a bracket": "https://[huggingface.co/",
    "no number for a port": "https://huggingface.co:x/",
    "empty": "",
}
TAKEN = [
    "https://huggingface.co/api/whoami-v2",
    "https://HuggingFace.CO/api",
    "HTTPS://huggingface.co:443/",
    "https://huggingface.co",
    "https://huggingface.co?search=@evil.example",
    "https://router.huggingface.co/v1",
]


class TestAToken:
    @pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED)
    def test_is_not_given_for(self, environ, url):
        assert Credentials(["HF_TOKEN"], environ).for_host("HF_TOKEN", url) is None

    @pytest.mark.parametrize("url", TAKEN)
    def test_is_given_for_exactly_its_hosts_also_while_hidden(self, environ, url):
        credentials = Credentials(["HF_TOKEN"], environ)
        with credentials.hidden():
            assert credentials.for_host("HF_TOKEN", url) == TOKEN

    def test_is_given_for_no_host_of_another_token(self, environ):
        credentials = Credentials([], environ | {"GITHUB_TOKEN": "ghp_canary"})
        assert credentials.for_host("GITHUB_TOKEN", "https://huggingface.co/") is None
        assert credentials.for_host("HF_TOKEN", "https://api.github.com/") is None
        assert credentials.for_host(KEY, "https://huggingface.co/") is None
        assert credentials.for_host("GITHUB_TOKEN", "https://api.github.com/") == "ghp_canary"

    def test_that_is_not_there_is_not_given(self):
        url = "https://huggingface.co/"
        assert Credentials([], {}).for_host("HF_TOKEN", url) is None
        assert Credentials([], {"HF_TOKEN": ""}).for_host("HF_TOKEN", url) is None

    def test_goes_to_this_machine_without_encryption_and_not_to_where_it_redirects(self, environ):
        heard = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                heard.append((self.server.server_port, self.headers.get("Authorization")))
                self.send_response(302 if self.path == "/go" else 200)
                self.send_header("Location", f"http://127.0.0.1:{sink.server_port}/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        hub, sink = (ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2))
        threads = [threading.Thread(target=server.serve_forever) for server in (hub, sink)]
        for thread in threads:
            thread.start()
        hosts = {"HF_TOKEN": [f"127.0.0.1:{hub.server_port}"]}
        credentials = Credentials(["HF_TOKEN"], environ, hosts)
        redirect = get(f"http://127.0.0.1:{hub.server_port}/go", credentials)
        get(redirect, credentials)
        for server, thread in zip((hub, sink), threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
        assert heard == [(hub.server_port, f"Bearer {TOKEN}"), (sink.server_port, None)]


def get(url, credentials):
    """Ask an address with the token it may have; returns where it redirects to."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    token = credentials.for_host("HF_TOKEN", url)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request("GET", urlsplit(url).path, headers=headers)
    location = connection.getresponse().headers["Location"]
    connection.close()
    return location
