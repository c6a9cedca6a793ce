"""Every scheduler, step by step, against diffusers' own."""

from __future__ import annotations

import warnings
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych.checkpoint.families.stable_diffusion import STABLE_DIFFUSION
from triptych.errors import CheckpointInvalidError
from triptych_orchestrator.sampling.noise import Generator
from triptych_orchestrator.sampling.schedulers import (
    SCHEDULERS,
    canonical_name,
    corrected_config,
    make_solver,
    resolved_name,
    scheduler_names,
)
from triptych_orchestrator.sampling.schedulers.base import Solver
from triptych_orchestrator.sampling.schedulers.betas import training_betas, zero_terminal_snr
from triptych_orchestrator.sampling.schedulers.config import SchedulerConfig

diffusers = pytest.importorskip("diffusers")

SHAPE = (2, 4, 6, 5)
SEED = 11
RTOL = 1e-5
"""Of the largest latent that a step reads or writes; both sides compute in float32."""
ZERO_SNR_RTOL = 5e-4
"""Shifting √ᾱ to end at zero magnifies the last place of torch's square root, which is not rounded correctly."""

SCALED = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}
SD1 = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    **SCALED,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}
SD2 = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.8.0",
    **SCALED,
    "clip_sample": False,
    "prediction_type": "v_prediction",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
SDXL = {
    "_class_name": "EulerDiscreteScheduler",
    "_diffusers_version": "0.19.0.dev0",
    **SCALED,
    "clip_sample": False,
    "interpolation_type": "linear",
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "trained_betas": None,
    "use_karras_sigmas": False,
}
ZERO_SNR = {**SD2, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
NAMES = tuple(SCHEDULERS)
STEPS = (1, 2, 3, 5, 20, 50)


def oracle(name: str, config: dict[str, Any]) -> Any:
    """The diffusers scheduler, switched to as a user switches: through the own scheduler's config."""
    own = getattr(diffusers, config.get("_class_name", "DDIMScheduler")).from_config(dict(config))
    info = SCHEDULERS[resolved_name(name, config)]
    return getattr(diffusers, info.class_name).from_config(own.config, **info.overrides)


def denoise(latents: Any, timestep: float) -> Any:
    """A stand-in for the UNet, smooth and of the size of noise; numpy or torch."""
    sin = torch.sin if isinstance(latents, torch.Tensor) else np.sin
    return latents * 0.6 + 0.4 * sin(latents * 3.0 + timestep / 250.0)


class TorchNoise:
    """Torch's own noise, so that a test of the steps is not a test of the noise."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def randn(self, shape: tuple[int, ...]) -> Any:
        return torch.randn(shape, generator=self.generator).numpy()


def check_run(
    name: str,
    config: dict[str, Any],
    steps: int,
    eta: float = 0.0,
    noise_type: Any = TorchNoise,
    strength: float | None = None,
) -> Solver:
    """Run both sides side by side from the same noise, comparing what the model sees and what comes back.

    With a `strength` from latents x_0 and that noise, as image-to-image does.
    """
    theirs = oracle(name, config)
    theirs.set_timesteps(steps)
    if hasattr(theirs, "set_begin_index"):  # else it starts at the second of two equal timesteps, and overruns
        theirs.set_begin_index(0)
    rtol = ZERO_SNR_RTOL if config.get("rescale_betas_zero_snr") else RTOL
    solver = make_solver(name, config, steps, eta=eta)
    assert solver.timesteps.dtype == np.float32
    np.testing.assert_allclose(solver.timesteps, theirs.timesteps.numpy(), rtol=1e-6, atol=1e-4)
    assert isinstance(solver.init_noise_sigma, float)
    assert solver.init_noise_sigma == pytest.approx(float(theirs.init_noise_sigma), rel=1e-6)

    noise = noise_type(SEED)
    generator = torch.Generator().manual_seed(SEED)
    own_noise, theirs_noise = noise.randn(SHAPE), torch.randn(SHAPE, generator=generator)
    if strength is None:
        first, timesteps = 0, theirs.timesteps
        ours, others = solver.from_noise(own_noise), theirs_noise * theirs.init_noise_sigma
    else:
        first, timesteps = solver.first_index(strength), shortened(theirs, steps, strength)
        original_latents = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)) * 2
        ours = solver.add_noise(original_latents.numpy(), own_noise, first)
        others = theirs.add_noise(original_latents, theirs_noise, timesteps[:1].repeat(len(own_noise)))
        assert ours.dtype == np.float32
        close(ours, others, rtol)
    extra: dict[str, Any] = {"eta": eta} if "DDIM" in type(theirs).__name__ else {}
    if type(theirs).__name__ != "PNDMScheduler":
        extra["generator"] = generator
    assert len(solver.timesteps) - first == len(timesteps)
    for index, timestep in enumerate(timesteps, first):
        seen, theirs_seen = solver.scale_model_input(ours, index), theirs.scale_model_input(others, timestep)
        close(seen, theirs_seen, rtol)
        latents, kept, largest = ours, ours.copy(), float(np.abs(ours).max())
        # the same prediction on both sides, so that each step is judged by itself
        noise_pred = denoise(theirs_seen, float(timestep))
        result = theirs.step(noise_pred, timestep, others, **extra)
        preview = solver.predict_original(noise_pred.numpy(), index, latents)
        ours = solver.step(noise_pred.numpy(), index, latents, lambda: noise.randn(SHAPE))
        np.testing.assert_array_equal(latents, kept)
        assert ours.dtype == preview.dtype == np.float32
        others = result.prev_sample
        close(ours, others, rtol, largest)
        close(preview, original(theirs, result, noise_pred, timestep, torch.from_numpy(latents)), rtol, largest)
    return solver


def shortened(theirs: Any, steps: int, strength: float) -> torch.Tensor:
    """The timesteps that diffusers' image-to-image leaves; the scheduler is told where they begin."""
    pipeline = SimpleNamespace(scheduler=theirs)
    timesteps: torch.Tensor = diffusers.StableDiffusionImg2ImgPipeline.get_timesteps(pipeline, steps, strength, "cpu")[
        0
    ]
    return timesteps


def original(scheduler: Any, result: Any, noise_pred: Any, timestep: Any, latents: Any) -> Any:
    """x_0 as the scheduler tells or keeps it, or by Ho et al. 2020 (arXiv:2006.11239), equation 15."""
    if hasattr(result, "pred_original_sample"):
        return result.pred_original_sample
    if hasattr(scheduler, "model_outputs"):  # DPM-Solver++ predicts data
        return scheduler.model_outputs[-1]
    alpha = scheduler.alphas_cumprod[int(timestep)]
    if scheduler.config.prediction_type == "v_prediction":
        return alpha.sqrt() * latents - (1 - alpha).sqrt() * noise_pred
    return (latents - (1 - alpha).sqrt() * noise_pred) / alpha.sqrt()


def close(ours: NDArray[np.float32], theirs: torch.Tensor, rtol: float, largest: float = 1.0) -> None:
    expected = theirs.numpy()
    assert np.isfinite(expected).all()
    atol = rtol * max(largest, float(np.abs(expected).max()))
    np.testing.assert_allclose(ours, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("config", [SD1, SD2, SDXL, ZERO_SNR], ids=["sd1", "sd2", "sdxl", "zero-snr"])
def test_equals_diffusers(name: str, config: dict[str, Any], steps: int) -> None:
    check_run(name, config, steps)


@pytest.mark.parametrize("name", NAMES)
def test_equals_diffusers_from_our_own_noise_too(name: str) -> None:
    check_run(name, SD1, 20, noise_type=Generator)
    check_run(name, SD2, 20, eta=0.5 if name == "ddim" else 0.0, noise_type=Generator)


@pytest.mark.parametrize("steps", (1, 2, 7, 20))
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("name", NAMES)
def test_every_spacing(name: str, spacing: str, prediction_type: str, steps: int) -> None:
    check_run(name, {**SD1, "timestep_spacing": spacing, "prediction_type": prediction_type}, steps)


@pytest.mark.parametrize("name", ["ddim", "euler", "dpmpp_2m", "dpmpp_2m_karras"])
def test_sample_prediction(name: str) -> None:
    check_run(name, {**SD1, "prediction_type": "sample"}, 5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_zero_terminal_snr_in_every_spacing(name: str, spacing: str) -> None:
    check_run(name, {**ZERO_SNR, "timestep_spacing": spacing}, 10)


@pytest.mark.parametrize(
    ("steps", "strength"), [(1, 1.0), (5, 0.2), (5, 0.5), (20, 0.3), (20, 0.8), (20, 0.95), (50, 1.0)]
)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("config", [SD1, SD2, SDXL, ZERO_SNR], ids=["sd1", "sd2", "sdxl", "zero-snr"])
def test_a_shortened_run_equals_diffusers_image_to_image(
    name: str, config: dict[str, Any], steps: int, strength: float
) -> None:
    check_run(name, config, steps, strength=strength)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pndm", {"skip_prk_steps": False}),
        ("pndm", {"timestep_spacing": "linspace", "prediction_type": "v_prediction"}),
        ("ddim", {"timestep_spacing": "trailing", "clip_sample": True}),
        ("euler", {"use_exponential_sigmas": True, "final_sigmas_type": "sigma_min"}),
        ("dpmpp_2m", {"final_sigmas_type": "sigma_min", "timestep_spacing": "leading"}),
        ("dpmpp_2m", {"solver_type": "heun"}),
    ],
)
@pytest.mark.parametrize("strength", [0.5, 0.9])
def test_a_shortened_run_follows_the_config(name: str, options: dict[str, Any], strength: float) -> None:
    check_run(name, {**SD1, **options}, 16, strength=strength)


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("config", [SD1, SD2, ZERO_SNR], ids=["sd1", "sd2", "zero-snr"])
def test_ddim_draws_eta_noise_from_the_same_stream(config: dict[str, Any], eta: float) -> None:
    check_run("ddim", config, 10, eta)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ddim", {"clip_sample": True, "clip_sample_range": 1.5}),
        ("ddim", {"clip_sample": True, "prediction_type": "sample"}),
        ("ddim", {"set_alpha_to_one": True}),
        ("pndm", {"set_alpha_to_one": True}),
        ("pndm", {"skip_prk_steps": False}),
        ("pndm", {"skip_prk_steps": False, "timestep_spacing": "linspace"}),
        (
            "pndm",
            {"skip_prk_steps": False, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
        ),
        ("euler", {"use_karras_sigmas": True}),
        ("euler", {"use_exponential_sigmas": True, "timestep_spacing": "leading"}),
        ("euler", {"use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 12.0}),
        ("euler", {"final_sigmas_type": "sigma_min"}),
        ("euler_ancestral", {"use_karras_sigmas": True}),
        ("dpmpp_2m", {"use_karras_sigmas": True}),
        ("dpmpp_2m", {"use_exponential_sigmas": True}),
        ("dpmpp_2m", {"solver_order": 1}),
        ("dpmpp_2m", {"solver_type": "heun"}),
        ("dpmpp_2m", {"solver_type": "bh2", "algorithm_type": "deis", "final_sigmas_type": "sigma_min"}),
        ("dpmpp_2m", {"final_sigmas_type": "sigma_min"}),
        ("dpmpp_2m", {"final_sigmas_type": "sigma_min", "timestep_spacing": "leading", "steps_offset": 0}),
        ("dpmpp_2m", {"final_sigmas_type": "sigma_min", "lower_order_final": False}),
        ("dpmpp_2m", {"final_sigmas_type": "sigma_min", "euler_at_final": True}),
        ("dpmpp_2m", {"lambda_min_clipped": -2.0}),
        ("dpmpp_2m", {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1}),
        ("dpmpp_2m_karras", {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}),
        ("dpmpp_2m_karras", {"final_sigmas_type": "sigma_min"}),
    ],
)
@pytest.mark.parametrize("steps", [4, 9, 21])
def test_options_of_the_config(name: str, options: dict[str, Any], steps: int) -> None:
    check_run(name, {**SD1, **options}, steps)


@pytest.mark.parametrize("name", NAMES)
def test_keys_that_are_absent_take_the_target_classs_own_defaults(name: str) -> None:
    check_run(name, {"_class_name": "EulerDiscreteScheduler", **SCALED}, 6)
    check_run(name, {"_class_name": "UniPCMultistepScheduler", **SCALED, "solver_type": "bh2"}, 6)
    check_run(name, {**SD1, "_use_default_values": ["steps_offset", "beta_start"]}, 6)


FOREIGN = {
    "DDPMScheduler": {"variance_type": "fixed_small", "clip_sample": True},
    "UniPCMultistepScheduler": {"solver_type": "heun", "solver_order": 2},
    # diffusers asks for a final σ where the algorithm was "deis" before it became "dpmsolver++".
    "DEISMultistepScheduler": {"solver_type": "heun", "algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"},
    "DPMSolverSinglestepScheduler": {"solver_type": "logrho", "solver_order": 1, "lower_order_final": False},
    "HeunDiscreteScheduler": {"use_karras_sigmas": True, "clip_sample": None},
    "KDPM2AncestralDiscreteScheduler": {"timestep_spacing": "trailing"},
    "LCMScheduler": {"original_inference_steps": 50, "set_alpha_to_one": True},
}
"""Schedulers that are not here, with keys that mean something to them or that they change on loading."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("own", FOREIGN)
def test_every_scheduler_can_be_asked_of_a_checkpoint_with_a_foreign_one(own: str, name: str) -> None:
    check_run(name, {"_class_name": own, **SCALED, **FOREIGN[own]}, 6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ddim", {"algorithm_type": "sde-dpmsolver++", "solver_order": 3, "use_lu_lambdas": True}),
        ("pndm", {"thresholding": True, "interpolation_type": "log_linear", "rescale_betas_zero_snr": True}),
        ("euler", {"thresholding": True, "variance_type": "learned_range", "solver_order": 3}),
        ("euler", {"use_lu_lambdas": True, "use_flow_sigmas": True, "timestep_type": "continuous"}),
        ("euler_ancestral", {"use_beta_sigmas": True, "final_sigmas_type": "other", "clip_sample": "yes"}),
        ("dpmpp_2m", {"interpolation_type": "log_linear", "use_dynamic_shifting": True, "clip_sample_range": -1}),
        ("dpmpp_2m", {"variance_type": "fixed_small_log"}),
        ("dpmpp_2m_karras", {"use_lu_lambdas": True, "timestep_type": "continuous"}),
    ],
)
def test_a_key_that_the_scheduler_does_not_read_means_nothing(name: str, options: dict[str, Any]) -> None:
    check_run(name, {**SD1, **options}, 6)


FLAGS = ("clip_sample", "set_alpha_to_one", "skip_prk_steps", "rescale_betas_zero_snr", "lower_order_final")


@pytest.mark.parametrize("name", ["ddim", "pndm", "euler", "euler_ancestral", "dpmpp_2m"])
def test_null_switches_a_flag_off_and_leaves_the_rest_at_its_default(name: str) -> None:
    optional = dict.fromkeys(("trained_betas", "sigma_min", "sigma_max", "variance_type", "timestep_type"))
    check_run(name, {**SD1, **dict.fromkeys(FLAGS), **optional}, 6)


@pytest.mark.parametrize("name", ["", *NAMES, *sorted({info.class_name for info in SCHEDULERS.values()})])
def test_names_and_aliases(name: str) -> None:
    check_run(name, SD1, 4)
    check_run(name, {**SDXL, "use_karras_sigmas": True}, 4)


def test_the_checkpoints_own_scheduler_keeps_its_karras_sigmas() -> None:
    config = {**SD1, "_class_name": "DPMSolverMultistepScheduler"}
    assert resolved_name("", config) == "dpmpp_2m"
    assert resolved_name("", {**config, "use_karras_sigmas": True}) == "dpmpp_2m_karras"
    assert resolved_name("", SD1) == "pndm"
    assert canonical_name("DPMSolverMultistepScheduler") == "dpmpp_2m"
    assert canonical_name("") == ""
    assert scheduler_names() == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_solvers_of_two_requests_share_no_state(name: str) -> None:
    alone, first, second = (make_solver(name, SD1, 6) for _ in range(3))
    start = Generator(1).randn(SHAPE)
    results = {solver: start for solver in (alone, first, second)}
    for solvers in ([alone], [first, second]):
        streams = {solver: Generator(2) for solver in solvers}
        for index, timestep in enumerate(alone.timesteps):
            for solver in solvers:
                stream, latents = streams[solver], results[solver]
                prediction = denoise(solver.scale_model_input(latents, index), float(timestep))
                results[solver] = solver.step(prediction, index, latents, partial(stream.randn, SHAPE))
    np.testing.assert_array_equal(results[alone], results[first])
    np.testing.assert_array_equal(results[first], results[second])


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("count", [1000, 777, 10])
def test_training_schedule(schedule: str, count: int) -> None:
    config = {**SD1, "beta_schedule": schedule, "num_train_timesteps": count}
    theirs = diffusers.DDIMScheduler.from_config(config)
    ours = make_solver("ddim", config, 3).schedule
    np.testing.assert_allclose(ours.betas, theirs.betas.numpy(), rtol=3e-7)
    np.testing.assert_allclose(ours.alphas_cumprod, theirs.alphas_cumprod.numpy(), rtol=1e-6)


def test_trained_betas() -> None:
    betas = np.linspace(1e-3, 2e-2, 40).tolist()
    config = {**SD1, "num_train_timesteps": 40, "trained_betas": betas}
    for name in NAMES:
        check_run(name, config, 5)


@pytest.mark.parametrize("name", NAMES)
def test_a_shortened_run_has_as_many_steps_as_diffusers_counts(name: str) -> None:
    solver = make_solver(name, SD1, 50)
    for percent in range(2, 101):
        theirs = oracle(name, SD1)
        theirs.set_timesteps(50)
        left = len(shortened(theirs, 50, percent / 100))
        assert len(solver.timesteps) - solver.first_index(percent / 100) == left


@pytest.mark.parametrize("trained", [1000, 999])
@pytest.mark.parametrize("name", NAMES)
def test_where_a_refiner_takes_over_is_where_diffusers_has_it(name: str, trained: int) -> None:
    """Half steps of the cutoff, which are rounded to even, among the shares."""
    for config, steps in (({**SD1, "num_train_timesteps": trained}, 23), ({**SD2, "timestep_spacing": "trailing"}, 40)):
        theirs, solver = oracle(name, config), make_solver(name, config, steps)
        theirs.set_timesteps(steps)
        pipeline = SimpleNamespace(scheduler=theirs)
        whole = [float(timestep) for timestep in solver.timesteps]
        for share in (*np.arange(0.01, 1.0, 0.0305).tolist(), 0.0995, 0.1005, 0.5, 0.8):
            begins = diffusers.StableDiffusionXLImg2ImgPipeline.get_timesteps(pipeline, steps, 0.3, "cpu", share)[0]
            # As StableDiffusionXLPipeline.__call__ does, with no function of its own.
            last = theirs.config.num_train_timesteps
            cutoff = round(last - (share * last))
            ends = [float(timestep) for timestep in theirs.timesteps if timestep >= cutoff]
            assert [whole[index] for index in solver.evaluations(end=share)] == pytest.approx(ends, abs=1e-4)
            assert [whole[index] for index in solver.evaluations(start=share)] == pytest.approx(
                begins.tolist(), abs=1e-4
            )
            assert [*solver.evaluations(end=share), *solver.evaluations(start=share)] == list(range(len(whole)))
    assert solver.evaluations() == range(len(whole)) and solver.evaluations(0.5).start == solver.first_index(0.5)


def test_zero_terminal_snr_ends_at_zero() -> None:
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    betas = training_betas(SchedulerConfig(SCALED), rescalable=True)
    ours = zero_terminal_snr(betas)
    assert ours[-1] == 1.0
    np.testing.assert_allclose(ours, rescale_zero_terminal_snr(torch.tensor(betas)).numpy(), rtol=1e-4, atol=3e-6)


@pytest.mark.parametrize("name", NAMES)
def test_most_step_counts_make_as_many_timesteps_as_diffusers(name: str) -> None:
    for spacing in ("linspace", "leading", "trailing"):
        config = {**SD1, "timestep_spacing": spacing}
        theirs = oracle(name, config)
        for steps in (4, 8, 31, 62, 123, 333, 500, 501, 997):
            theirs.set_timesteps(steps)
            solver = make_solver(name, config, steps)
            np.testing.assert_allclose(solver.timesteps, theirs.timesteps.numpy(), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_trailing_never_reaches_timestep_minus_one(name: str) -> None:
    """diffusers' float stride gives 62 timesteps for 61 steps of 1000, the last of them -1; ours are 61."""
    config = {**SD1, "timestep_spacing": "trailing"}
    solver = make_solver(name, config, 61)
    assert len(solver.timesteps) == 61 + (name == "pndm")
    assert solver.timesteps.min() >= 0


def test_epsilon_from_zero_terminal_snr_is_refused_where_it_divides_by_zero() -> None:
    config = {**ZERO_SNR, "prediction_type": "epsilon"}
    with pytest.raises(CheckpointInvalidError, match="prediction_type"):
        make_solver("ddim", config, 5)
    check_run("ddim", {**config, "timestep_spacing": "leading"}, 5)
    check_run("euler", config, 5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "config",
    [
        SD1,
        SD2,
        {"_class_name": "DDIMScheduler", **SCALED},
        {**SD1, "steps_offset": 0, "clip_sample": True},
        {**SD2, "steps_offset": None, "clip_sample": None},
        {**SD2, "_use_default_values": ["steps_offset", "clip_sample"]},
        {"_class_name": "DDPMScheduler", **SCALED, "steps_offset": 0},
        {"_class_name": "UniPCMultistepScheduler", **SCALED, "steps_offset": 0, "clip_sample": True},
    ],
    ids=["sd1", "sd2", "bare-ddim", "outdated", "null", "defaults", "ddpm", "unipc"],
)
def test_the_corrected_config_is_what_the_pipeline_makes_of_it(name: str, config: dict[str, Any]) -> None:
    own = getattr(diffusers, config["_class_name"]).from_config(dict(config))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the pipeline's notice about outdated configs
        parts = dict.fromkeys(("vae", "text_encoder", "tokenizer", "unet", "safety_checker", "feature_extractor"))
        pipeline = diffusers.StableDiffusionPipeline(**parts, scheduler=own, requires_safety_checker=False)
    theirs = pipeline.scheduler
    info = SCHEDULERS[name]
    if type(theirs).__name__ != info.class_name:
        theirs = getattr(diffusers, info.class_name).from_config(theirs.config, **info.overrides)
    theirs.set_timesteps(10)
    solver = make_solver(name, corrected_config(name, config, STABLE_DIFFUSION.scheduler_config), 10)
    np.testing.assert_allclose(solver.timesteps, theirs.timesteps.numpy(), rtol=1e-6, atol=1e-4)
    if name == "ddim":
        assert (solver._clip_range is not None) == bool(theirs.config.clip_sample)  # type: ignore[attr-defined]
