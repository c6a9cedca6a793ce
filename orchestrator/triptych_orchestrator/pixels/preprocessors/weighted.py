"""The preprocessors of A1111's extension that are networks, whose files an operator registers under their names.

One network may be several preprocessors', and one preprocessor may have several networks.
"""

from __future__ import annotations

from dataclasses import replace

from triptych_orchestrator.pixels.preprocessors import mapped
from triptych_orchestrator.pixels.preprocessors.base import Parameter, Preprocessor
from triptych_orchestrator.pixels.preprocessors.networks import (
    BYTES,
    GREY_BYTES,
    IMAGENET,
    IMAGENET_BGR,
    SIGNED,
    UNIT,
    UNIT_BGR,
    Draw,
    Mapped,
)
from triptych_orchestrator.pixels.preprocessors.pose import FACE, HAND, OpenPose, dwpose
from triptych_orchestrator.pixels.preprocessors.straight_lines import LineNetwork

_NEAR = Parameter("Remove Near %", 0, 100, 0, 0.1)
_FAR = Parameter("Remove Background %", 0, 100, 0, 0.1)

_MIDAS = Mapped("depth_midas", SIGNED, mapped.nearness, multiple=32)
_HED = Mapped("softedge_hed", BYTES, mapped.edges)
_PIDINET = Mapped("softedge_pidinet", UNIT_BGR, mapped.last_edges)


def _anything(name: str) -> Mapped:
    return Mapped(name, IMAGENET, mapped.nearness, multiple=14, shortest=518)


def _classes(name: str, drawn: Draw = mapped.ade20k_classes) -> Mapped:
    return Mapped(name, IMAGENET, drawn, has_classes=True)


def _of(
    network: Mapped | LineNetwork,
    control_type: str,
    *aliases: str,
    name: str = "",
    threshold_a: Parameter | None = None,
    threshold_b: Parameter | None = None,
) -> Preprocessor:
    return Preprocessor(
        name or network.name,
        (control_type,),
        aliases=aliases,
        threshold_a=threshold_a,
        threshold_b=threshold_b,
        networks=(network,),
        look=network.look,
    )


def _pose(name: str, openpose: OpenPose) -> Preprocessor:
    return Preprocessor(name, ("OpenPose",), networks=openpose.networks, look=openpose.look)


WEIGHTED: tuple[Preprocessor, ...] = (
    _of(_MIDAS, "Depth", "depth"),
    _of(_anything("depth_anything"), "Depth"),
    _of(_anything("depth_anything_v2"), "Depth"),
    _of(Mapped("depth_zoe", UNIT, mapped.metric_nearness, multiple=32), "Depth"),
    _of(
        Mapped("depth_leres", IMAGENET_BGR, mapped.cut_nearness, multiple=32),
        "Depth",
        threshold_a=_NEAR,
        threshold_b=_FAR,
    ),
    _of(Mapped("normal_bae", IMAGENET, mapped.normals, multiple=32), "NormalMap"),
    _of(
        replace(_MIDAS, drawn=mapped.normals_of_depth),
        "NormalMap",
        "normal_map",
        name="normal_midas",
        threshold_a=Parameter("Normal Background Threshold", 0, 1, 0.4),
    ),
    _pose("openpose", OpenPose()),
    _pose("openpose_face", OpenPose(face=FACE)),
    _pose("openpose_faceonly", OpenPose(face=FACE, shows_body=False)),
    _pose("openpose_hand", OpenPose(hand=HAND)),
    _pose("openpose_full", OpenPose(hand=HAND, face=FACE)),
    Preprocessor("dw_openpose_full", ("OpenPose",), networks=(dwpose.DETECTOR, dwpose.WHOLE_BODY), look=dwpose.look),
    _of(_classes("seg_ofade20k"), "Segmentation", "oneformer_ade20k"),
    _of(_classes("seg_ofcoco", mapped.coco_classes), "Segmentation", "oneformer_coco"),
    _of(_classes("seg_ufade20k"), "Segmentation", "segmentation"),
    _of(_HED, "SoftEdge", "hed"),
    _of(_PIDINET, "SoftEdge", "pidinet"),
    _of(
        Mapped("softedge_teed", BYTES, mapped.stepped_edges),
        "SoftEdge",
        threshold_a=Parameter("Safe Steps", 0, 10, 2, 1),
    ),
    _of(replace(_HED, drawn=mapped.scribbled_edges), "Scribble", name="scribble_hed"),
    _of(
        replace(_PIDINET, drawn=mapped.scribbled_last_edges),
        "Scribble",
        "pidinet_scribble",
        name="scribble_pidinet",
    ),
    _of(Mapped("lineart_realistic", UNIT, mapped.lines), "Lineart", "lineart"),
    _of(Mapped("lineart_coarse", UNIT, mapped.lines), "Lineart"),
    _of(Mapped("lineart_anime", SIGNED, mapped.signed_lines, multiple=256), "Lineart"),
    _of(Mapped("lineart_anime_denoise", GREY_BYTES, mapped.byte_lines), "Lineart"),
    _of(
        LineNetwork("mlsd"),
        "MLSD",
        threshold_a=Parameter("MLSD Value Threshold", 0.01, 2, 0.1),
        threshold_b=Parameter("MLSD Distance Threshold", 0.01, 20, 0.1),
    ),
)
