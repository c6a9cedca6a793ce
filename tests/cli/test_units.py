from __future__ import annotations

import pytest

from triptych.cli.units import parse_duration, parse_size, readable_age, readable_size
from triptych.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("90m", 5400), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration("--unused-for", text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "d", "0d", "-1d", "1.5d", "30 d", "30D", "30d\n", "1d2h", "٣d", "1e3s", "9" * 99 + "d"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"--unused-for: .* is no duration"):
        parse_duration("--unused-for", text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("1B", 1), ("20GB", 20 * 10**9), ("20 gb", 20 * 10**9), ("1.5kB", 1500), ("512MiB", 2**29), ("1TiB", 2**40)],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size("--max-size", text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "20", "GB", "0GB", "0.1B", "-1GB", "20G", "20iB", "1,5GB", "20GB\n", "inf GB", "1e9B", "٣GB"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"--max-size: .* is no size"):
        parse_size("--max-size", text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (25 * 10**9, "25.0 GB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_readable_sizes(size_bytes: int, text: str) -> None:
    assert readable_size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 m"), (7200, "2 h"), (86_399, "23 h"), (45 * 86_400, "45 d")],
)
def test_readable_ages(seconds: float, text: str) -> None:
    assert readable_age(seconds) == text
