"""A LoRA is named by content too: a caller's pin holds while the name moves on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.orchestrator.library.test_loras import content, digest, files, kept, names
from tests.orchestrator.lora_files import any_lora
from triptych.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
)
from triptych_orchestrator.library.loras.registry import LoraRegistry
from triptych_orchestrator.settings import Limits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "loras"


@pytest.fixture
def registry(folder: Path) -> LoraRegistry:
    return LoraRegistry(folder, Limits())


@pytest.fixture
def versions(tmp_path: Path) -> list[Path]:
    return [any_lora(tmp_path, str(seed), seed) for seed in range(3)]


async def test_a_pin_holds_while_the_name_moves_on(registry: LoraRegistry, folder: Path, versions: list[Path]) -> None:
    first, second, third = versions
    added = await registry.add("ink", first)
    pin = f"ink@{digest(first)[:8]}"
    assert registry.get(pin) is registry.get(f"ink@{digest(first)}") is added
    with pytest.raises(AlreadyExistsError, match="'ink' is another file's; remove it first, or have it replaced"):
        await registry.add("ink", second, keep=True)
    for version in (second, third):
        await registry.add("ink", version, replace=True, keep=True)
    assert registry.get("ink").digest == digest(third)
    assert content(registry.get(pin).path) == content(first)
    assert names(registry) == ["ink", *sorted(f"ink@{digest(version)}" for version in (first, second))]
    again = LoraRegistry(folder, Limits())
    assert again.get(pin.replace(pin[4:], pin[4:].upper())).digest == digest(first) and names(again) == names(registry)
    # A name may come back to what it meant before.
    await registry.add("ink", first, replace=True, keep=True)
    assert registry.get(pin) is registry.get("ink")
    assert names(registry) == ["ink", *sorted(f"ink@{digest(version)}" for version in (second, third))]
    assert files(folder) == kept(*versions)


async def test_a_version_goes_alone_and_a_name_with_all_of_its_own(
    registry: LoraRegistry, folder: Path, versions: list[Path]
) -> None:
    first, second, third = versions
    await registry.add("ink", first)
    for version in (second, third):
        await registry.add("ink", version, replace=True, keep=True)
    await registry.add("other", second)
    with pytest.raises(FailedPreconditionError, match="is what 'ink' means now; remove 'ink'"):
        registry.remove(f"ink@{digest(third)[:12]}")
    registry.remove(f"ink@{digest(first)[:12]}")
    assert files(folder) == kept(second, third)
    with registry.hold(registry.get(f"ink@{digest(second)[:12]}")):
        registry.remove("ink")
    assert files(folder) == kept(second) and names(registry) == ["other"]
    assert json.loads((folder / "loras.json").read_text()) == {"other": digest(second)}


async def test_pins_that_name_nothing_or_too_much(registry: LoraRegistry, versions: list[Path]) -> None:
    await registry.add("ink", versions[0])
    with pytest.raises(NotFoundError, match=f"begins so: '00000000'; there are: {digest(versions[0])[:12]}"):
        registry.get("ink@00000000")
    with pytest.raises(NotFoundError, match=r"no file of 'wash' .* there are: none"):
        registry.get(f"wash@{digest(versions[0])}")
    with pytest.raises(InvalidArgumentError, match="needs at least 8 digits") as caught:
        registry.get(f"ink@{digest(versions[0])[:7]}")
    assert caught.value.metadata["field"] == "loras"
    with pytest.raises(InvalidArgumentError, match="must be 1 to 128 letters"):
        await registry.add(f"ink@{digest(versions[0])}", versions[0])


async def test_versions_count_where_names_do(folder: Path, versions: list[Path]) -> None:
    registry = LoraRegistry(folder, Limits(max_kept_loras=1))
    await registry.add("ink", versions[0])
    with pytest.raises(ResourceExhaustedError, match="1 LoRAs are all that max_kept_loras allows"):
        await registry.add("ink", versions[1], replace=True, keep=True)
    await registry.add("ink", versions[1], replace=True)  # an operator's own file, whose former content nobody keeps
    assert files(folder) == kept(versions[1])


async def test_what_adds_no_name_needs_no_room(folder: Path, versions: list[Path]) -> None:
    first, second, third = versions
    registry = LoraRegistry(folder, Limits(max_kept_loras=2))
    await registry.add("ink", first)
    await registry.add("ink", second, replace=True, keep=True)
    full = ["ink", f"ink@{digest(first)}"]
    # The same again, by whoever keeps what was there before.
    await registry.add("ink", second, replace=True, keep=True)
    assert names(registry) == full
    # Back to what the name meant before, which takes the place of what it means now.
    await registry.add("ink", first, replace=True, keep=True)
    assert names(registry) == ["ink", f"ink@{digest(second)}"]
    with pytest.raises(ResourceExhaustedError, match="2 LoRAs are all that max_kept_loras allows"):
        await registry.add("ink", third, replace=True, keep=True)
    assert registry.get("ink").digest == digest(first) and files(folder) == kept(first, second)
    fewer = LoraRegistry(folder, Limits(max_kept_loras=1))
    await fewer.add("ink", third, replace=True)
    assert files(folder) == kept(second, third)


def test_an_index_whose_versions_lie_is_set_aside(folder: Path, versions: list[Path]) -> None:
    folder.mkdir(parents=True)
    lie = {f"ink@{digest(versions[0])}": digest(versions[1])}
    (folder / "loras.json").write_text(json.dumps(lie))
    assert names(LoraRegistry(folder, Limits())) == []
