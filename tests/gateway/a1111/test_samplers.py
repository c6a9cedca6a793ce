"""A1111's labels beside the server's schedulers."""

from __future__ import annotations

import pytest

from tests.conftest import Served
from triptych.contract.pictures.samplers import BY_SCHEDULER
from triptych.errors import InvalidArgumentError, NotFoundError
from triptych_gateway.a1111.samplers import samplers, scheduler_of, schedules

ALL = list(BY_SCHEDULER)


def test_every_label_is_a_scheduler_that_the_server_lists(served: Served) -> None:
    available = served.client.server_info().schedulers
    found = {scheduler_of(each["name"], "Automatic", available) for each in samplers(available)}
    found |= {scheduler_of(alias, "", available) for each in samplers(available) for alias in each["aliases"]}
    found |= {scheduler_of(sampler.name, sampler.schedule, available) for sampler in BY_SCHEDULER.values()}
    assert found == set(available)


@pytest.mark.parametrize(
    ("sampler", "schedule", "scheduler"),
    [
        ("Euler", "", "euler"),
        ("Euler a", "normal", "euler_ancestral"),
        ("euler A", "Uniform", "euler_ancestral"),
        ("DPM++ 2M", "Automatic", "dpmpp_2m_karras"),
        ("DPM++ 2M", "automatic", "dpmpp_2m_karras"),
        ("DPM++ 2M", "Uniform", "dpmpp_2m"),
        ("DPM++ 2M Karras", "", "dpmpp_2m_karras"),
        ("DPM++ 2M Karras", "uniform", "dpmpp_2m_karras"),
        ("k_dpmpp_2m", "karras", "dpmpp_2m_karras"),
        ("DDIM", "Karras", "ddim"),
        ("PLMS", "", "pndm"),
        ("dpmpp_2m", "", "dpmpp_2m"),
    ],
)
def test_a_name_and_a_schedule(sampler: str, schedule: str, scheduler: str) -> None:
    assert scheduler_of(sampler, schedule, ALL) == scheduler


def test_what_is_not_there_is_named_beside_what_is() -> None:
    with pytest.raises(NotFoundError, match=r"^sampler_name: 'Restart' is not .*; there are DDIM, Euler"):
        scheduler_of("Restart", "", ALL)
    with pytest.raises(InvalidArgumentError, match=r"^scheduler: Karras does not go with Euler here; there are Uni"):
        scheduler_of("Euler", "Karras", ALL)
    with pytest.raises(InvalidArgumentError, match=r"^scheduler: 'Turbo' is not one"):
        scheduler_of("Euler", "Turbo", ALL)


def test_lists_name_what_can_be_had_alone() -> None:
    assert [each["label"] for each in schedules(["euler"])] == ["Automatic", "Uniform", "Normal"]
    assert samplers(["dpmpp_2m"])[0]["options"] == {"scheduler": "karras"}
    assert [each["name"] for each in samplers(["euler"])] == ["Euler"]
