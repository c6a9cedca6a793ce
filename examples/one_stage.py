"""One stage called directly with tritonclient: the UNet, which keeps a prompt's conditioning under a key.

python examples/one_stage.py [ORCHESTRATOR_ADDRESS] [CHECKPOINT]   # by default the first that the server has

The stages listen on the machine's loopback; the orchestrator tells where.
"""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton

import triptych


def connect(address: str) -> triton.InferenceServerClient:
    """A stage, which a proxy of the environment does not lead to."""
    return triton.InferenceServerClient(address, channel_args=[("grpc.enable_http_proxy", 0)])


def first_checkpoint(client: triptych.Client) -> str:
    """The name of one that can be loaded, of a family whose stages take no more than is sent here."""
    known = [checkpoint for checkpoint in client.checkpoints() if checkpoint.family == "stable-diffusion"]
    names = [checkpoint.name for checkpoint in known if checkpoint.state != "failed"]
    if not names:
        raise SystemExit("the server has no Stable Diffusion 1.x or 2.x; add one: triptych checkpoints add NAME PATH")
    return names[0]


def infer(server: triton.InferenceServerClient, model: str, **tensors: npt.NDArray[np.generic]) -> triton.InferResult:
    """One call; every array has the batch as its first dimension."""
    inputs = []
    for name, array in tensors.items():
        datatype = {"float32": "FP32", "int64": "INT64", "uint8": "UINT8"}[array.dtype.name]
        tensor = triton.InferInput(name, array.shape, datatype)
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return server.infer(model, inputs)


def main(address: str = "127.0.0.1:50051", checkpoint: str = "") -> None:
    """A batch of two samples at different timesteps, with the embeddings and then by key alone."""
    with triptych.Client(address) as client:
        checkpoint = checkpoint or first_checkpoint(client)
        client.load_checkpoint(checkpoint)
        servers = {replica.stage: connect(replica.address) for replica in client.server_info().replicas}
    input_ids = np.zeros((1, 77), np.int64)
    states = infer(servers["encoder"], f"{checkpoint}.encoder", input_ids=input_ids)
    hidden_states = states.as_numpy("hidden_states").repeat(2, axis=0)
    key = np.frombuffer(hashlib.blake2b(hidden_states[0].tobytes(), digest_size=16).digest(), np.uint8)

    server, model = servers["unet"], f"{checkpoint}.unet"
    step: dict[str, npt.NDArray[np.generic]] = {
        "latents": np.random.default_rng(0).standard_normal((2, 4, 16, 16), np.float32),
        "timestep": np.array([[999.0], [1.0]], np.float32),
        "conditioning_key": np.stack([key, key]),
    }
    first = infer(server, model, **step, encoder_hidden_states=hidden_states)
    again = infer(server, model, **step)
    equal = np.array_equal(first.as_numpy("noise_pred"), again.as_numpy("noise_pred"))
    print(f"noise_pred {first.as_numpy('noise_pred').shape}, by key alone the same: {equal}")


if __name__ == "__main__":
    main(*sys.argv[1:])
