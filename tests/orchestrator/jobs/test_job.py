from __future__ import annotations

import json
from dataclasses import asdict, fields

from triptych import demo
from triptych.checkpoint import Checkpoint
from triptych.contract import LoraWeight
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.library.loras.choice import LoraChoice, LoraUse
from triptych_orchestrator.settings import Limits


def test_a_job_is_plain_values_with_nothing_open() -> None:
    asked = Asked("a", "demo", "a fox", num_images_per_prompt=2, loras=(LoraUse("ink", 0.5),))
    values = asdict(check(asked, Checkpoint.open(demo.checkpoint_path()), Limits()))
    tasks = {field.name for field in fields(Job) if field.default is None}  # that not every request has
    assert {name for name, value in values.items() if value is None} == tasks
    assert len(values["seeds"]) == 2 and values["scheduler"]
    written = json.loads(json.dumps(values))
    lists = {name: tuple(written[name]) for name in ("seeds", "images", "controls", "ip_adapters", "warnings")}
    assert written | {**lists, "loras": values["loras"]} == values


def test_its_loras_are_named_by_content() -> None:
    written = json.loads(json.dumps(asdict(LoraChoice(sets={"unet": (LoraWeight("0" * 64, "/loras/a", 0.5),)}))))
    assert written["sets"]["unet"] == [{"digest": "0" * 64, "path": "/loras/a", "weight": 0.5}]
