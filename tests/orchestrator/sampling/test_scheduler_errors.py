"""What the schedulers refuse, and how they say so."""

from __future__ import annotations

import pytest

from triptych.errors import CheckpointInvalidError, InvalidArgumentError
from triptych_orchestrator.sampling.schedulers import make_solver, own_scheduler, scheduler_names, usable_names

NAMES = scheduler_names()
SD1 = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "clip_sample": False,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_out_of_bounds(name: str, steps: int) -> None:
    with pytest.raises(InvalidArgumentError, match="num_inference_steps") as caught:
        make_solver(name, SD1, steps)
    assert caught.value.metadata["field"] == "num_inference_steps"


@pytest.mark.parametrize("name", ["ddim", "pndm", "dpmpp_2m"])
def test_a_step_count_that_diffusers_breaks_on_is_refused(name: str) -> None:
    """1000 steps of 1000: timestep 1000 does not exist, and DPM-Solver++ has no timestep to spare."""
    with pytest.raises(InvalidArgumentError, match="num_inference_steps"):
        make_solver(name, {**SD1, "timestep_spacing": "leading"}, 1000)


def test_runge_kutta_start_needs_four_steps() -> None:
    with pytest.raises(InvalidArgumentError, match="at least 4"):
        make_solver("pndm", {**SD1, "skip_prk_steps": False}, 3)


def test_unknown_scheduler_lists_those_there_are() -> None:
    with pytest.raises(InvalidArgumentError, match=r"scheduler: 'heun'.*euler_ancestral") as caught:
        make_solver("heun", SD1, 5)
    assert caught.value.metadata == {"field": "scheduler"}
    with pytest.raises(InvalidArgumentError, match="UniPCMultistepScheduler is not supported"):
        make_solver("", {**SD1, "_class_name": "UniPCMultistepScheduler"}, 5)


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_eta_out_of_bounds(eta: float) -> None:
    with pytest.raises(InvalidArgumentError, match="eta"):
        make_solver("ddim", SD1, 5, eta=eta)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("ddim", "beta_schedule", "sigmoid"),
        ("ddim", "beta_schedule", 3),
        ("ddim", "beta_start", "0.1"),
        ("ddim", "beta_end", 1.0),
        ("ddim", "beta_end", float("nan")),
        ("ddim", "num_train_timesteps", 0),
        ("ddim", "num_train_timesteps", 10**12),
        ("ddim", "num_train_timesteps", True),
        ("ddim", "trained_betas", [0.1, 0.2]),
        ("ddim", "trained_betas", "0.1"),
        ("ddim", "thresholding", True),
        ("ddim", "clip_sample", "yes"),
        ("ddim", "timestep_spacing", "sideways"),
        ("ddim", "steps_offset", -1),
        ("ddim", "prediction_type", "flow_prediction"),
        ("pndm", "prediction_type", "sample"),
        ("euler_ancestral", "prediction_type", "sample"),
        ("euler", "interpolation_type", "log_linear"),
        ("euler", "use_beta_sigmas", True),
        ("euler", "final_sigmas_type", "other"),
        ("dpmpp_2m", "algorithm_type", "sde-dpmsolver++"),
        ("dpmpp_2m", "solver_order", 3),
        ("dpmpp_2m", "use_lu_lambdas", True),
        ("dpmpp_2m", "use_flow_sigmas", True),
        ("dpmpp_2m", "variance_type", "learned"),
        ("dpmpp_2m_karras", "use_exponential_sigmas", True),
        ("", "_class_name", None),
    ],
)
def test_config_that_is_not_supported_names_its_key(name: str, key: str, value: object) -> None:
    with pytest.raises(CheckpointInvalidError, match=key) as caught:
        make_solver(name, {**SD1, key: value}, 5)
    assert caught.value.metadata["file"] == "scheduler/scheduler_config.json"


DPM = {**SD1, "_class_name": "DPMSolverMultistepScheduler"}


@pytest.mark.parametrize(
    ("config", "key", "unusable"),
    [
        ({**DPM, "algorithm_type": "sde-dpmsolver++"}, "algorithm_type", {"dpmpp_2m", "dpmpp_2m_karras"}),
        ({**DPM, "solver_order": 3}, "solver_order", {"dpmpp_2m", "dpmpp_2m_karras"}),
        ({**DPM, "use_lu_lambdas": True}, "use_lu_lambdas", {"dpmpp_2m"}),
        ({**DPM, "variance_type": "learned_range"}, "variance_type", {"dpmpp_2m", "dpmpp_2m_karras"}),
        (
            {**SD1, "_class_name": "EulerDiscreteScheduler", "interpolation_type": "log_linear"},
            "interpolation_type",
            {"euler"},
        ),
        ({**SD1, "_class_name": "LMSDiscreteScheduler"}, "LMSDiscreteScheduler", set()),
        ({key: value for key, value in SD1.items() if key != "_class_name"}, "_class_name", set()),
    ],
)
def test_an_unusable_scheduler_of_the_checkpoints_own_leaves_the_others(
    config: dict[str, object], key: str, unusable: set[str]
) -> None:
    usable = [name for name in NAMES if name not in unusable]
    assert usable_names(config) == usable
    name, warning = own_scheduler(config)
    assert name == "" and key in warning
    assert warning.endswith(f"; this checkpoint can be asked for: {', '.join(usable)}")
    with pytest.raises(InvalidArgumentError) as caught:
        make_solver("", config, 5)
    assert (caught.value.message, caught.value.metadata["field"]) == (warning, "scheduler")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_class_name", "\ud800Scheduler"),
        ("_class_name", "x" * 100_000),
        ("algorithm_type", "\ud800" * 100_000),
        ("algorithm_type", {"a": ["x" * 100_000]}),
    ],
)
def test_a_warning_is_short_and_can_be_sent(key: str, value: object) -> None:
    name, warning = own_scheduler({**DPM, key: value})
    assert name == "" and key in warning and len(warning.encode()) < 1_000


def test_a_scheduler_that_can_be_had_has_no_warning() -> None:
    assert own_scheduler(SD1) == ("pndm", "")
    assert own_scheduler({**DPM, "use_karras_sigmas": True}) == ("dpmpp_2m_karras", "")
    # Few steps are possible, but some are.
    assert own_scheduler({**SD1, "num_train_timesteps": 10}) == ("pndm", "")


@pytest.mark.parametrize("values", [{"beta_schedule": "sigmoid"}, {"beta_start": "small"}, {"clip_sample": "yes"}])
def test_a_config_that_makes_no_sense_is_refused_at_once(values: dict[str, object]) -> None:
    with pytest.raises(CheckpointInvalidError, match=next(iter(values))) as caught:
        own_scheduler({**SD1, "_class_name": "DDIMScheduler", **values})
    assert caught.value.metadata == {"file": "scheduler/scheduler_config.json"}
