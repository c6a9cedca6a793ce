from __future__ import annotations

import pytest

from triptych.wire.target import endpoints, proxy_options

DIRECT = [("grpc.enable_http_proxy", 0)]


@pytest.mark.parametrize(
    "target",
    [
        "localhost",
        "LocalHost:50051",
        "127.0.0.1:50051",
        "127.8.8.8:50051",
        "0.0.0.0:50051",
        "::1",
        "[::1]:50051",
        "[::ffff:127.0.0.1]:50051",
        "dns:localhost:50051",
        "DNS:///localhost:50051",
        "dns://9.9.9.9/127.0.0.1:50051",
        "ipv4:127.0.0.1:50051",
        "ipv4:///127.0.0.1:50051",
        "ipv6:[::1]:50051",
        "ipv6:%5B::1%5D:50051",
        "ipv4:10.0.0.7:50051,10.0.0.8:50051",
        "unix:relative.sock",
        "unix:///run/triptych.sock",
        "unix-abstract:triptych",
        "vsock:2:50051",
        "xds:///triptych",
    ],
)
def test_goes_around_a_proxy(target: str) -> None:
    assert proxy_options(target) == DIRECT


@pytest.mark.parametrize(
    "target",
    [
        "example.org:50051",
        "localhost.example:50051",
        "127.example:50051",
        "10.0.0.7:50051",
        "[2001:db8::1]:50051",
        "dns:///example.org:50051",
        "dns://127.0.0.1/example.org:50051",
        "ipv4:10.0.0.7:50051",
        "ipv6:[2001:db8::1]:50051",
    ],
)
def test_is_left_to_the_environment(target: str) -> None:
    assert proxy_options(target) == []


def test_endpoints() -> None:
    assert endpoints("unet:8001") == ["unet:8001"]
    assert endpoints("dns://9.9.9.9/host:8001") == ["host:8001"]
    assert endpoints("ipv6:%5B::1%5D:1,[::2]:2") == ["[::1]:1", "[::2]:2"]
    assert endpoints("unix:/run/x:1") == []
