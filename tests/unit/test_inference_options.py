"""Options are sorted, checked, and a misspelt one is told; models are found by name."""

import pytest

from valley.errors import ConfigError, SamplingError
from valley.inference.backend import BACKENDS, GenerationParams
from valley.inference.options import request_from, sampling_from
from valley.inference.resolving import resolve
from valley.video.sampling import FrameSampling


def test_options_are_sorted():
    request = request_from({"temperature": 0.5, "system": "Be short.", "language": "es", "num_frames": 4})
    assert request_from({"fps": 2, "temperature": 1}).params.temperature == 1.0
    assert request.system == "Be short."
    assert request.params == GenerationParams(
        temperature=0.5, answer_language="es", sampling=FrameSampling(num_frames=4)
    )


def test_without_options_the_checkpoint_decides():
    assert request_from({}).params == GenerationParams()
    assert sampling_from() is None
    assert request_from({"num_frames": None, "seed": None}).params.sampling is None


def test_num_frames_caps_frames_per_second():
    sampling = sampling_from(fps=2.0, num_frames=5)
    assert sampling is not None
    assert (sampling.fps, sampling.cap) == (2, 5)


def test_a_misspelt_option_is_told():
    with pytest.raises(ConfigError, match="did you mean 'temperature'"):
        request_from({"temprature": 1})
    with pytest.raises(ConfigError, match="called 'abc'; there are: fps, isolated"):
        request_from({"abc": 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0},
        {"temperature": -0.1},
        {"top_p": 0},
        {"stop": ("",)},
        {"seed": 2**64},
        {"language": "<|end|>"},
        {"sampling": FrameSampling(), "fps": 1},
    ],
)
def test_values_out_of_range(wrong):
    with pytest.raises(ConfigError):
        request_from(wrong)


def test_contradicting_frames():
    with pytest.raises(SamplingError):
        request_from({"num_frames": -1})


def test_models_are_found(tiny_checkpoint, tmp_path):
    place = resolve(str(tiny_checkpoint))
    assert (place.name, place.folder) == (tiny_checkpoint.name, tiny_checkpoint)
    assert resolve("someone/valley-7b").folder is None
    with pytest.raises(ConfigError, match="did you mean 'valley-mini'"):
        resolve("valey-mini")
    with pytest.raises(ConfigError, match="holds no model"):
        resolve(str(tmp_path))


def test_the_backends_are_listed():
    assert "transformers" in BACKENDS.names()
