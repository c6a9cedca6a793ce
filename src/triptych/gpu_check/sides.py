"""What is compared: diffusers two ways, Triptych with each engine, on one GPU and with guidance split over two."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.gpu_check.machine import Machine

# What is measured at the first size alone beside pictures, on one GPU.
MORE = ("lora", "control", "eight", "swap", "switch")


@dataclass(frozen=True)
class Side:
    """`engine` is Triptych's, "" for diffusers; `start_s` and `new_size_s` are guesses, until they are measured."""

    name: str
    title: str
    start_s: float
    engine: str = ""
    compiled: bool = False
    new_size_s: float = 0.0  # before the first picture of another size
    speeds_up: bool = False  # within that time, while pictures are made
    unet_replicas: int = 1  # each on a GPU of its own
    servers: bool = True
    engines_of: str = ""  # the side that has built them, if it was started
    environment: tuple[tuple[str, str], ...] = ()  # of its servers
    more: tuple[str, ...] = ()
    first_edge_only: bool = False
    on_cpu_alone: bool = False

    def is_meant_for(self, machine: Machine) -> bool:
        """Engines alone stand in for servers that cannot run; some engine is for a CPU alone."""
        if self.on_cpu_alone and machine.devices[0] != "cpu":
            return False
        return self.servers or not self.engine or bool(machine.triton_problem)

    def why_absent(self, machine: Machine) -> str:
        """What the machine lacks for it; "" where it can run."""
        if machine.torch_problem and any(device != "cpu" for device in machine.devices):
            return machine.torch_problem
        if not machine.diffusers:  # which makes the checkpoints too, and whose modules the torch engine takes
            return "diffusers is not installed"
        if self.engine and self.servers and machine.triton_problem:
            return machine.triton_problem
        if self.unet_replicas > len(machine.devices):
            return f"it takes {self.unet_replicas} GPUs, and there is {len(machine.devices)}"
        if self.engine == "tensorrt":
            return machine.tensorrt_problem or ("" if machine.devices[0] != "cpu" else "TensorRT needs a GPU")
        return ""


# Without the plain engine that is else built in the background: it would disturb what is measured.
_ALONE = (("TRIPTYCH_TENSORRT_PLAIN", "never"),)
# In the order of their worth: what starts at once first, what builds for minutes late.
SIDES = (
    Side("diffusers", "diffusers, eager", 30.0, more=("control",)),
    Side("torch", "Triptych, torch", 45.0, engine="torch", more=MORE),
    Side("onnxruntime", "Triptych, ONNX Runtime", 60.0, engine="onnxruntime", more=MORE, on_cpu_alone=True),
    Side("torch-engines", "Triptych's torch engines alone, no servers", 40.0, engine="torch", servers=False),
    Side("diffusers-compiled", "diffusers, torch.compile", 30.0, compiled=True, new_size_s=90.0),
    Side(
        "torch-compiled", "Triptych, torch compiled", 60.0, engine="torch", new_size_s=240.0, speeds_up=True,
        environment=(("TRIPTYCH_TORCH_COMPILE", "1"),),
    ),
    Side("torch-split", "Triptych, torch, guidance on two GPUs", 60.0, engine="torch", unet_replicas=2),
    Side("tensorrt", "Triptych, TensorRT", 420.0, engine="tensorrt", environment=_ALONE, more=MORE),
    Side(
        "tensorrt-split", "Triptych, TensorRT, guidance on two GPUs", 60.0, engine="tensorrt", unet_replicas=2,
        engines_of="tensorrt", environment=_ALONE,
    ),
    Side(
        "tensorrt-plain", "Triptych, TensorRT, no weight open to LoRA", 420.0, engine="tensorrt",
        environment=(("TRIPTYCH_TENSORRT_PLAN", "plain"),), first_edge_only=True,
    ),
)  # fmt: skip
SIDES_BY_NAME = {side.name: side for side in SIDES}
