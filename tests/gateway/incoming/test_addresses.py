"""Images by their addresses, against real servers on loopback, which an operator has to allow by name."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from triptych.errors import InvalidArgumentError
from triptych_gateway.incoming.addresses import ImageUrls, fetch

PUBLIC = ImageUrls(enabled=True)
LOCAL = replace(PUBLIC, networks=[ipaddress.ip_network("127.0.0.1/32")], timeout_s=5)


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def giving(body: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def refused(url: str, rules: ImageUrls) -> str:
    with pytest.raises(InvalidArgumentError, match=r"^image: ") as raised:
        fetch(url, "image", rules)
    return raised.value.message


def test_they_are_off_unless_switched_on() -> None:
    assert "switched off" in refused("http://127.0.0.1/a.png", ImageUrls())


def test_what_is_allowed_is_fetched() -> None:
    with serving(giving(b"a file")) as url:
        assert fetch(f"{url}/a.png?b=c", "image", LOCAL) == b"a file"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0.0.0.0", "10.0.0.1", "192.168.1.1",
        "172.16.0.1", "169.254.169.254", "100.64.0.1", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00::1]",
        "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "224.0.0.1", "255.255.255.255",
    ],
)  # fmt: skip
def test_nothing_inside_is_asked(host: str) -> None:
    assert "not public" in refused(f"http://{host}/", PUBLIC)


def test_a_public_address_is_asked_on_the_webs_ports_alone() -> None:
    assert "port 22, is not public" in refused("http://1.1.1.1:22/", PUBLIC)


@pytest.mark.parametrize("url", ["http://", "http://user:word@1.1.1.1/", "http://1.1.1.1:port/", "http://[1/"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    refused(url, PUBLIC)


def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["127.0.0.1", "127.0.0.2"])

    def look_up(host: str, port: int, **_: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    with serving(giving(b"a file")) as url:
        resolved = socket.getaddrinfo

        def looked_up(host: str, port: int, *args: object, **options: object) -> object:
            return look_up(host, port) if host == "rebinding.test" else resolved(host, port, *args, **options)

        monkeypatch.setattr(socket, "getaddrinfo", looked_up)
        assert fetch(url.replace("127.0.0.1", "rebinding.test"), "image", LOCAL) == b"a file"
        assert "not public" in refused(url.replace("127.0.0.1", "rebinding.test"), LOCAL)


def test_a_redirect_is_checked_like_the_first_address() -> None:
    with serving(giving(b"", 302, Location="http://127.0.0.2:80/secret")) as url:
        assert "not public" in refused(url, LOCAL)


def test_redirects_are_followed_and_counted() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        left = int(handler.path[1:])
        if left:
            giving(b"", 307, Location=f"/{left - 1}")(handler)
        else:
            giving(b"a file")(handler)

    with serving(answer) as url:
        assert fetch(f"{url}/3", "image", LOCAL) == b"a file"
        assert "more than 3 times" in refused(f"{url}/4", LOCAL)


def test_a_redirect_leads_to_the_web_alone() -> None:
    with serving(giving(b"", 302, Location="file:///etc/passwd")) as url:
        assert "must be http" in refused(url, LOCAL)


def test_a_file_is_bounded() -> None:
    with serving(giving(b"a" * 1000)) as url:
        assert fetch(url, "image", replace(LOCAL, max_bytes=1000)) == b"a" * 1000
        assert "more than 999 bytes" in refused(url, replace(LOCAL, max_bytes=999))


def test_a_slow_answer_is_given_up() -> None:
    over = threading.Event()

    def dripping(handler: BaseHTTPRequestHandler) -> None:
        giving(b"a")(handler)
        while not over.wait(0.05):
            handler.wfile.write(b"a")
            handler.wfile.flush()

    with serving(dripping) as url:
        said = refused(url, replace(LOCAL, timeout_s=0.5))
        over.set()
    assert "too slowly" in said or "timed out" in said


def test_no_answer_is_given_up() -> None:
    over = threading.Event()

    def silent(_: BaseHTTPRequestHandler) -> None:
        over.wait()

    with serving(silent) as url:
        said = refused(url, replace(LOCAL, timeout_s=0.5))
        over.set()
    assert "too slowly" in said or "timed out" in said


def test_another_status_is_told() -> None:
    with serving(giving(b"", 404)) as url:
        assert "status 404" in refused(url, LOCAL)
