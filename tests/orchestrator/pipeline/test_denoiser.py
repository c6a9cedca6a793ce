"""What travels to a UNet replica: the conditioning once, then latents, timesteps and keys alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from triptych.contract import UNET, LoraWeight, Report
from triptych.contract.carried import ConditioningLostError, LoraLostError, LoraPreparingError
from triptych_orchestrator.batching.batcher import Ticket
from triptych_orchestrator.batching.seats import Batchers
from triptych_orchestrator.pipeline.denoiser import Denoiser
from triptych_orchestrator.pipeline.guiding import Guided
from triptych_orchestrator.sampling.guidance import Weight, classifier_free, combine, rescale
from triptych_orchestrator.stages.conditioning import Conditioning
from triptych_orchestrator.stages.lora_sets import LoraSet
from triptych_orchestrator.stages.pool import PlacedModel
from triptych_orchestrator.stages.triton import ReplicaDownError, Tensors

pytestmark = pytest.mark.fast_clock

MODEL = PlacedModel("x.unet", UNET, {})
STATES = np.random.default_rng(0).normal(size=(3, 77, 768)).astype(np.float32)
LATENTS = np.random.default_rng(1).normal(size=(2, 4, 8, 8)).astype(np.float32)


class Recorder:
    """A replica that predicts latents * mean of the conditioning, and notes what it was sent."""

    stage = "unet"

    def __init__(self, name: str = "unet-0") -> None:
        self.name = name
        self.loops = 0
        self.held: dict[str, Any] = {}
        self.lora_keys: list[bytes] = []
        self.known_loras: dict[bytes, int] = {}  # to how often it is still being prepared
        self.kept: dict[bytes, float] = {}
        self.sent: list[set[str]] = []
        self.sent_bytes: list[int] = []
        self.samples: list[int] = []
        self.down = False

    def about(self, model: PlacedModel) -> str:
        return "{}"

    async def infer(self, model: PlacedModel, tensors: Tensors, request_id: str, timeout_s: float) -> Tensors:
        self.sent.append(set(tensors))
        self.sent_bytes.append(sum(tensor.nbytes for tensor in tensors.values()))
        self.samples.append(len(tensors["latents"]))
        await asyncio.sleep(0.001)
        if self.down:
            raise ReplicaDownError("down")
        keys = [key.tobytes() for key in tensors["conditioning_key"]]
        for key, states in zip(keys, tensors.get("encoder_hidden_states", []), strict=False):
            self.kept[key] = float(states.mean())
        if "lora_key" in tensors:
            self._require_loras(tensors)
        if not all(key in self.kept for key in keys):
            raise ConditioningLostError("conditioning is not held here")
        scale = np.array([self.kept[key] for key in keys], np.float32)[:, None, None, None]
        count = len(keys)
        return {"noise_pred": tensors["latents"] * scale, "report": np.tile(Report(0.5, count, 0.0), (count, 1))}

    def _require_loras(self, tensors: Tensors) -> None:
        key = tensors["lora_key"][0].tobytes()
        if key not in self.known_loras:
            if "loras" not in tensors:
                raise LoraLostError("lora set is not held here")
            self.known_loras[key] = 2
        if self.known_loras[key]:
            self.known_loras[key] -= 1
            raise LoraPreparingError("is being prepared")

    @property
    def load(self) -> int:
        return self.loops

    def remember_loras(self, key: bytes) -> None:
        self.lora_keys.append(key)


class Pool:
    """Runs work on the first replica that is up."""

    def __init__(self, *replicas: Recorder) -> None:
        self.replicas = replicas

    def holders(self, model: PlacedModel) -> list[Any]:
        return [replica for replica in self.replicas if not replica.down]

    async def run(self, model: PlacedModel, work: Callable[[Any], Awaitable[Any]], preferred: Any = None) -> Any:
        for replica in [preferred, *self.replicas] if preferred else self.replicas:
            try:
                return await work(replica), replica
            except ReplicaDownError:
                continue
        raise AssertionError("every replica is down")


def denoiser(
    pool: Pool, batchers: Batchers, *rows: int, scale: float = 3.0, loras: tuple[LoraWeight, ...] = ()
) -> Denoiser:
    weights = classifier_free(scale if len(rows) > 1 else 1.0)
    conditionings = [Conditioning.of(encoder_hidden_states=STATES[row]) for row in rows]
    guidance = [Guided(*each) for each in zip(conditionings, weights, strict=True)]
    return Denoiser(pool, batchers, MODEL, guidance, LoraSet.of(loras), Ticket("r"))  # type: ignore[arg-type]


def expected(*rows: int, scale: float = 3.0) -> np.ndarray:
    means = [np.float32(float(STATES[row].mean())) for row in rows]
    if len(means) == 1:
        return LATENTS * means[0]
    unconditional, conditional = LATENTS * means[0], LATENTS * means[1]
    return unconditional + np.float32(scale) * (conditional - unconditional)


async def test_conditioning_travels_once() -> None:
    replica, batchers = Recorder(), Batchers(5.0)
    denoise = denoiser(Pool(replica), batchers, 0, 1)
    for timestep in (900.0, 500.0, 100.0):
        assert np.array_equal(await denoise(LATENTS, timestep), expected(0, 1))
    keys_only = {"latents", "timestep", "conditioning_key"}
    assert replica.sent == [keys_only | {"encoder_hidden_states"}, keys_only, keys_only]
    assert replica.sent_bytes[1:] == [4 * (LATENTS[0].nbytes + 4 + 16)] * 2
    assert replica.sent_bytes[0] == replica.sent_bytes[1] + 4 * STATES[0].nbytes
    assert (denoise.use.calls, denoise.use.engine_seconds, denoise.use.replicas) == (3, 1.5, ["unet-0"])
    denoise.close()
    assert replica.loops == 0 and batchers.idle


async def test_lost_conditioning_is_sent_again() -> None:
    replica = Recorder()
    denoise = denoiser(Pool(replica), Batchers(5.0), 0, 1)
    await denoise(LATENTS, 900.0)
    replica.kept.clear()
    assert np.array_equal(await denoise(LATENTS, 500.0), expected(0, 1))
    await denoise(LATENTS, 100.0)
    assert ["encoder_hidden_states" in sent for sent in replica.sent] == [True, False, True, False]


async def test_another_replica_is_sent_it_too() -> None:
    first, second, batchers = Recorder("unet-0"), Recorder("unet-1"), Batchers(5.0)
    denoise = denoiser(Pool(first, second), batchers, 0, 1)
    await denoise(LATENTS, 900.0)
    first.down = True
    assert np.array_equal(await denoise(LATENTS, 500.0), expected(0, 1))
    assert "encoder_hidden_states" in second.sent[0]
    assert (first.loops, second.loops) == (0, 1)
    denoise.close()
    denoise.close()
    assert (first.loops, second.loops) == (0, 0)
    assert batchers.idle


async def test_the_halves_go_to_two_idle_replicas() -> None:
    first, second, batchers = Recorder("unet-0"), Recorder("unet-1"), Batchers(5.0)
    denoise = denoiser(Pool(first, second), batchers, 0, 1)
    for timestep in (900.0, 500.0):
        assert np.array_equal(await denoise(LATENTS, timestep), expected(0, 1))
        assert denoise.use.last_replicas == ["unet-0", "unet-1"]
    assert [len(replica.sent) for replica in (first, second)] == [2, 2]
    assert first.sent_bytes[1] == second.sent_bytes[1] == 2 * (LATENTS[0].nbytes + 4 + 16)
    # Side by side: each step counts once, as long as its longer half.
    assert (denoise.use.calls, denoise.use.split_calls, denoise.use.engine_seconds) == (2, 2, 1.0)
    assert denoise.use.engine_share_seconds == 2.0  # both engines worked for it
    denoise.close()
    assert (first.loops, second.loops) == (0, 0) and batchers.idle


@pytest.mark.parametrize(("replicas", "sent"), [(1, [6]), (2, [2, 4]), (3, [2, 2, 2]), (4, [2, 2, 2, 0])])
async def test_guidance_weighs_any_number_on_so_many_replicas(replicas: int, sent: list[int]) -> None:
    recorders, batchers = [Recorder(f"unet-{index}") for index in range(replicas)], Batchers(5.0)
    left = np.zeros((8, 8), np.float32)
    left[:, :4] = 1
    weights: list[Weight] = [-4.0, 5 * left, 5 * (1 - left)]
    conditionings = [Conditioning.of(encoder_hidden_states=states) for states in STATES]
    guidance = [Guided(*each) for each in zip(conditionings, weights, strict=True)]
    denoise = Denoiser(Pool(*recorders), batchers, MODEL, guidance, LoraSet.of(()), Ticket("r"), 0.7)  # type: ignore[arg-type]
    predictions = [expected(row) for row in range(3)]
    wanted = rescale(combine(predictions, weights), predictions[2], 0.7)
    for timestep in (900.0, 500.0):
        assert np.array_equal(await denoise(LATENTS, timestep), wanted)
    assert [sum(one.samples) for one in recorders] == [2 * samples for samples in sent]
    assert denoise.use.calls == 2 and len(denoise.use.last_replicas) == min(replicas, 3)
    denoise.close()
    assert not any(one.loops for one in recorders) and batchers.idle


async def test_conditionings_of_unlike_length_go_one_after_the_other() -> None:
    replica, batchers = Recorder(), Batchers(5.0)
    long = np.concatenate([STATES[1], STATES[2]])
    short_and_long = (Conditioning.of(encoder_hidden_states=states) for states in (STATES[0], long))
    guidance = [Guided(*each) for each in zip(short_and_long, (-1.0, 2.0), strict=True)]
    denoise = Denoiser(Pool(replica), batchers, MODEL, guidance, LoraSet.of(()), Ticket("r"))  # type: ignore[arg-type]
    wanted = combine([expected(0), LATENTS * np.float32(float(long.mean()))], [-1.0, 2.0])
    for timestep in (900.0, 500.0):
        assert np.array_equal(await denoise(LATENTS, timestep), wanted)
    assert replica.samples == [2, 2, 2, 2] and denoise.use.calls == 4
    denoise.close()
    assert batchers.idle


async def test_a_second_request_ends_the_split_and_takes_the_other_replica() -> None:
    first, second, batchers = Recorder("unet-0"), Recorder("unet-1"), Batchers(5.0)
    pool = Pool(first, second)
    one, other = denoiser(pool, batchers, 0, 1), denoiser(pool, batchers, 0, 2)
    await one(LATENTS, 900.0)
    for _ in range(3):
        assert np.array_equal(await other(LATENTS, 900.0), expected(0, 2))
        assert np.array_equal(await one(LATENTS, 500.0), expected(0, 1))
    assert len(one.use.last_replicas) == len(other.use.last_replicas) == 1
    assert one.use.last_replicas != other.use.last_replicas
    other.close()
    await one(LATENTS, 100.0)
    assert len(one.use.last_replicas) == 2
    one.close()
    assert batchers.idle


async def test_a_half_whose_replica_dies_is_done_by_the_other() -> None:
    first, second, batchers = Recorder("unet-0"), Recorder("unet-1"), Batchers(5.0)
    denoise = denoiser(Pool(first, second), batchers, 0, 1)
    await denoise(LATENTS, 900.0)
    dies = asyncio.create_task(denoise(LATENTS, 500.0))
    await asyncio.sleep(0)
    second.down = True
    assert np.array_equal(await dies, expected(0, 1))
    assert np.array_equal(await denoise(LATENTS, 100.0), expected(0, 1))
    denoise.close()
    assert batchers.idle


async def test_who_shares_a_batch_shares_its_engine_seconds() -> None:
    replica, batchers = Recorder(), Batchers(5.0)
    pool = Pool(replica)
    both = [denoiser(pool, batchers, 0, 1), denoiser(pool, batchers, 2)]
    await asyncio.gather(*(denoise(LATENTS, 900.0) for denoise in both))  # the first finds itself alone
    await asyncio.gather(*(denoise(LATENTS, 500.0) for denoise in both))
    assert [denoise.use.engine_seconds for denoise in both] == [1.0, 1.0]
    assert replica.samples[-1] == 6 and [denoise.use.batch_samples for denoise in both] == [6, 6]
    shares = [denoise.use.engine_share_seconds for denoise in both]
    assert sum(shares) == pytest.approx(0.5 * len(replica.sent))
    assert min(shares) > 0
    for denoise in both:
        denoise.close()


async def test_loras_are_named_and_brought_where_they_are_unknown() -> None:
    replica, batchers = Recorder(), Batchers(5.0)
    denoise = denoiser(Pool(replica), batchers, 0, 1, loras=(LoraWeight("digest", "/a/path", 0.5),))
    for timestep in (900.0, 500.0):
        assert np.array_equal(await denoise(LATENTS, timestep), expected(0, 1))
    always = {"latents", "timestep", "conditioning_key", "lora_key"}
    # Brought once; asked again while it is prepared, the conditioning known by then.
    assert replica.sent == [always | {"loras", "encoder_hidden_states"}, always, always, always]
    replica.known_loras.clear()
    await denoise(LATENTS, 100.0)
    assert "loras" in replica.sent[-3]
    denoise.close()
    assert batchers.idle


async def test_requests_with_a_set_go_where_it_is_known() -> None:
    first, second, batchers = Recorder("unet-0"), Recorder("unet-1"), Batchers(5.0)
    pool, loras = Pool(first, second), (LoraWeight("digest", "/a/path", 0.5),)
    second.lora_keys.append(LoraSet.of(loras).key)
    denoise = denoiser(pool, batchers, 2, loras=loras)
    await denoise(LATENTS, 900.0)
    assert denoise.use.replicas == ["unet-1"]
    denoise.close()


async def test_without_guidance_there_is_one_half() -> None:
    replica = Recorder()
    denoise = denoiser(Pool(replica), Batchers(5.0), 2)
    assert np.array_equal(await denoise(LATENTS, 900.0), expected(2))


async def test_more_samples_than_a_batch_holds() -> None:
    replica = Recorder()
    denoise = denoiser(Pool(replica), Batchers(5.0), 0, 1)
    many = np.concatenate([LATENTS] * 10)
    prediction = await denoise(many, 900.0)
    assert np.array_equal(prediction, np.concatenate([expected(0, 1)] * 10))
    assert len(replica.sent) == 3 and denoise.use.calls == 3


@pytest.mark.parametrize("delay_s", [0.0, 0.0005, 0.002])
async def test_a_cancelled_one_leaves_no_member(delay_s: float) -> None:
    replica, batchers = Recorder(), Batchers(5.0)
    pool = Pool(replica)

    async def loop(denoise: Denoiser, steps: int) -> None:
        try:
            for _ in range(steps):
                await denoise(LATENTS, 1.0)
        finally:
            denoise.close()

    doomed = asyncio.create_task(loop(denoiser(pool, batchers, 0, 1), 1_000))
    other = asyncio.create_task(loop(denoiser(pool, batchers, 0, 2), 20))
    await asyncio.sleep(delay_s)
    doomed.cancel()
    await asyncio.wait([doomed])
    await asyncio.wait_for(other, 10)
    assert replica.loops == 0 and batchers.idle


def test_equal_prompts_share_a_key() -> None:
    states = (STATES[0], STATES[0].copy(), STATES[1])
    keys = [Conditioning.of(encoder_hidden_states=each).key.tobytes() for each in states]
    assert keys[0] == keys[1] != keys[2] and len(keys[0]) == 16


def test_the_key_is_of_all_tensors_and_their_names() -> None:
    vector = np.zeros(4, np.float32)
    of = Conditioning.of
    made = (of(a=vector), of(b=vector), of(a=vector[None]), of(a=vector, b=vector), of(a=vector, b=vector + 1))
    assert len({conditioning.key.tobytes() for conditioning in made}) == 5
    assert of(a=vector, b=vector + 1).key.tobytes() == of(b=vector + 1, a=vector).key.tobytes()
