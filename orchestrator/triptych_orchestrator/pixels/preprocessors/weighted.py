"""The preprocessors of A1111's extension that are networks: who asks for one is told what is missing."""

from __future__ import annotations

from triptych_orchestrator.pixels.preprocessors.base import Parameter, Pixels, Preprocessor

_NEAR = Parameter("Remove Near %", 0, 100, 0, 0.1)
_FAR = Parameter("Remove Background %", 0, 100, 0, 0.1)


def _without(pixels: Pixels, _: float, __: float) -> Pixels:
    raise AssertionError("is refused before")


def _weighted(
    name: str,
    control_type: str,
    *aliases: str,
    threshold_a: Parameter | None = None,
    threshold_b: Parameter | None = None,
) -> Preprocessor:
    missing = (
        "its network's weights, for which this version has no stage model; prepare the picture with another program, "
        "and send what comes of it without a preprocessor"
    )
    return Preprocessor(
        name, (control_type,), _without, aliases, threshold_a=threshold_a, threshold_b=threshold_b, missing=missing
    )


WEIGHTED: tuple[Preprocessor, ...] = (
    _weighted("depth_midas", "Depth", "depth"),
    _weighted("depth_anything", "Depth"),
    _weighted("depth_anything_v2", "Depth"),
    _weighted("depth_zoe", "Depth"),
    _weighted("depth_leres", "Depth", threshold_a=_NEAR, threshold_b=_FAR),
    _weighted("normal_bae", "NormalMap"),
    _weighted(
        "normal_midas",
        "NormalMap",
        "normal_map",
        threshold_a=Parameter("Normal Background Threshold", 0, 1, 0.4),
    ),
    _weighted("openpose", "OpenPose"),
    _weighted("openpose_face", "OpenPose"),
    _weighted("openpose_faceonly", "OpenPose"),
    _weighted("openpose_hand", "OpenPose"),
    _weighted("openpose_full", "OpenPose"),
    _weighted("dw_openpose_full", "OpenPose"),
    _weighted("seg_ofade20k", "Segmentation", "oneformer_ade20k"),
    _weighted("seg_ofcoco", "Segmentation", "oneformer_coco"),
    _weighted("seg_ufade20k", "Segmentation", "segmentation"),
    _weighted("softedge_hed", "SoftEdge", "hed"),
    _weighted("softedge_pidinet", "SoftEdge", "pidinet"),
    _weighted("softedge_teed", "SoftEdge", threshold_a=Parameter("Safe Steps", 0, 10, 2, 1)),
    _weighted("scribble_hed", "Scribble"),
    _weighted("scribble_pidinet", "Scribble", "pidinet_scribble"),
    _weighted("lineart_realistic", "Lineart", "lineart"),
    _weighted("lineart_coarse", "Lineart"),
    _weighted("lineart_anime", "Lineart"),
    _weighted("lineart_anime_denoise", "Lineart"),
    _weighted(
        "mlsd",
        "MLSD",
        threshold_a=Parameter("MLSD Value Threshold", 0.01, 2, 0.1),
        threshold_b=Parameter("MLSD Distance Threshold", 0.01, 20, 0.1),
    ),
)
