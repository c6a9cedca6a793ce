"""Single UNet steps, straight at the engine: two samples, as classifier-free guidance makes them.

unet = UnetSteps.of(setting); engine = load_engine("onnxruntime", unet.component, unet.settings)
seconds = unet.seconds(engine)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.setting import Setting
from benchmarks.turns import timed
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import UNET
from triptych.engine import Engine, EngineSettings
from triptych.engine.conditions import conditioning_dims
from triptych.engine.port import Array
from triptych.measuring.machine import cores


@dataclass(frozen=True)
class UnetSteps:
    """A checkpoint's UNet and a step's inputs; `steps` are taken in a row each time."""

    component: Component
    settings: EngineSettings
    inputs: Mapping[str, Array]
    steps: int

    @classmethod
    def of(cls, setting: Setting, samples: int = 2) -> UnetSteps:
        """On all cores, with the graphs kept in the benchmarks' folder."""
        checkpoint = Checkpoint.open(setting.checkpoint())
        component = checkpoint.components[UNET.name]
        edge = setting.size // checkpoint.vae_scale_factor
        noise = np.random.default_rng(0)
        channels = component.architecture.config["in_channels"]
        inputs = {
            "latents": noise.standard_normal((samples, channels, edge, edge), np.float32),
            "timestep": np.full(samples, 500.0, np.float32),
        }
        for name, dims in conditioning_dims(component.architecture).items():
            shape = (extent if isinstance(extent, int) else checkpoint.tokens for extent in dims)
            inputs[name] = noise.standard_normal((samples, *shape), np.float32)
        return cls(component, EngineSettings(cores(), setting.cache_dir), inputs, setting.steps)

    def seconds(self, engine: Engine) -> float:
        """Of one step, the mean of those taken."""
        return sum(timed(lambda: engine.infer(self.inputs)) for _ in range(self.steps)) / self.steps
