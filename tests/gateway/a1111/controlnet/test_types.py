from __future__ import annotations

import pytest

from triptych.errors import NotFoundError
from triptych.sdk.preprocessing import Preprocessor, PreprocessorParameter
from triptych_gateway.a1111.controlnet.preprocessors import detail_of, find, label_of, numbers_of
from triptych_gateway.a1111.controlnet.types import types_of

RESOLUTION = PreprocessorParameter("Resolution", 64, 2048, 512, 8)
LOW = PreprocessorParameter("Low Threshold", 1, 255, 100, 1)
CANNY = Preprocessor("canny", [], ["Canny"], RESOLUTION, LOW)
HED = Preprocessor("hed", ["softedge_hed"], ["SoftEdge"], RESOLUTION)
ALL = [CANNY, HED]


def test_modules_answer_to_all_their_names() -> None:
    assert find(ALL, "Canny", "module") is CANNY
    assert find(ALL, "softedge_HED", "module") is HED
    assert find(ALL, "None", "module") is None
    assert label_of(HED) == "softedge_hed"
    with pytest.raises(NotFoundError, match="module: 'depth' is not a module here; there are none, canny, hed"):
        find(ALL, "depth", "module")


def test_a_number_beyond_the_range_means_the_default() -> None:
    given = {"processor_res": 512, "threshold_a": -1, "threshold_b": 64}
    assert numbers_of(CANNY, given) == {"processor_res": 512}
    assert numbers_of(CANNY, {**given, "threshold_a": 64}) == {"processor_res": 512, "threshold_a": 64}
    assert numbers_of(None, given) == {}


def test_sliders_are_in_the_extensions_order() -> None:
    assert [each["name"] for each in detail_of(CANNY)["sliders"]] == ["Resolution", "Low Threshold"]
    assert detail_of(CANNY)["sliders"][1] == {"name": "Low Threshold", "value": 100, "min": 1, "max": 255, "step": 1}


def test_types_have_the_preprocessors_and_models_that_are_called_so() -> None:
    types = types_of(ALL, ["my-canny [0123456789]", "hed"], ["plus"])
    assert list(types) == ["All", "Canny", "SoftEdge", "IP-Adapter"]
    assert types["All"]["model_list"] == ["None", "my-canny [0123456789]", "hed", "plus"]
    assert types["IP-Adapter"]["model_list"] == ["None", "plus"]
    assert types["IP-Adapter"]["default_option"] == "ip-adapter-auto"
    assert types["Canny"] == {
        "module_list": ["none", "canny"],
        "model_list": ["None", "my-canny [0123456789]"],
        "default_option": "canny",
        "default_model": "my-canny [0123456789]",
    }
    assert types["SoftEdge"]["default_model"] == "hed"
    assert types_of(ALL, ["depth"])["Canny"]["model_list"] == ["None", "depth"]
