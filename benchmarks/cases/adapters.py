"""A request under an IP-Adapter and one under a T2I-Adapter, against one without: Triptych and diffusers, in turns."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.controlnets import register
from benchmarks.requests import PLAIN, Task, measure
from benchmarks.setting import Setting
from triptych.measuring.controlnets import edges
from triptych.measuring.machine import cores
from triptych.measuring.tasks_worker import tasks_worker
from triptych.sdk import Control, IpAdapter

_LOOKING, _ADAPTED = "ip-adapter", "t2i-adapter"


def run(setting: Setting) -> bool:
    """Prints the tables; whether under neither more of diffusers' time is taken than without, but for a little."""
    checkpoint, t2i_adapter, ip_adapter = setting.checkpoint(), setting.t2i_adapter(), setting.ip_adapter()
    local = setting.stack(checkpoint)
    with (
        tempfile.TemporaryDirectory() as folder,
        local as client,
        tasks_worker(checkpoint, threads=cores(), t2i_adapter=t2i_adapter) as diffusers,
        tasks_worker(checkpoint, threads=cores(), ip_adapter=ip_adapter) as looking,
    ):

        def picture(index: int) -> str:
            """A new one each round, at any size too, for Triptych remembers what it has looked at."""
            path, edge = Path(folder, f"{index}.png"), setting.size // 8
            image = edges(setting.size)
            image.paste((32 * (index + 2) % 256, index % 256, 0), (0, 0, edge, edge))
            image.save(path)
            return str(path)

        name = register(client, t2i_adapter)
        client.register_ip_adapter("bench-ip-adapter", ip_adapter)
        for worker in (diffusers, looking):
            worker.wait_ready()
        tasks = {
            PLAIN: Task(diffusers),
            _ADAPTED: Task(
                diffusers,
                lambda index: {"controls": [Control(name, picture(index))]},
                lambda index: {"image": picture(index)},
            ),
            _LOOKING: Task(
                looking,
                lambda index: {"ip_adapters": [IpAdapter("bench-ip-adapter", picture(index))]},
                lambda index: {"ip_adapter_image": picture(index)},
            ),
        }
        measured = measure(setting, local, client, tasks)
    measured.print(setting)
    for task in (_ADAPTED, _LOOKING):
        print(f"a step, {task} / without: {measured.step_ratio(task):.2f}")
    return measured.judged()
