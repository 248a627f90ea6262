"""From a model's name to the engine that runs it, without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from valley.cli.opening import open_model
from valley.errors import BackendError, ConfigError, UnknownNameError
from valley.inference.backend import BACKENDS, Capabilities
from valley.inference.opening import engine_for, open_backend
from valley.inference.resolving import resolve
from valley.inference.valley import Valley


class Opened:
    """Stands for an engine: remembers how it was opened."""

    calls: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012

    @classmethod
    def from_pretrained(cls, name: str, **options: Any) -> Opened:
        cls.calls.append((name, options))
        return cls()

    connect = from_pretrained
    capabilities = Capabilities("stand-in", (), None)

    def look(self, medium: Any, params: Any) -> Any: ...

    def stream(self, conversation: Any, params: Any) -> Any: ...

    def identity(self) -> Any: ...

    def close(self) -> None: ...


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the engines asked for; none is loaded."""
    asked: list[str] = []
    Opened.calls = []
    monkeypatch.setattr(BACKENDS, "get", lambda name: (asked.append(name), Opened)[1])
    return asked


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Kinds of models by hub id; another id is not there."""
    from transformers import PretrainedConfig

    kinds: dict[str, str] = {}

    def get_config_dict(location: str, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if location not in kinds:
            raise OSError(f"{location} is not a local folder and is not a valid model identifier\nmore words")
        return {"model_type": kinds[location]}, {}

    monkeypatch.setattr(PretrainedConfig, "get_config_dict", get_config_dict)
    return kinds


def test_a_hub_id_is_opened_by_the_kind_its_config_names(engines: list[str], hub: dict[str, str]) -> None:
    hub |= {"someone/valley-7b": "valley", "someone/Qwen3-VL": "qwen3_vl"}
    open_backend("someone/valley-7b")
    open_backend("someone/Qwen3-VL", dtype="bfloat16", device="cpu")
    assert engines == ["transformers", "image_text_to_text"]
    assert Opened.calls[1] == ("someone/Qwen3-VL", {"dtype": "bfloat16", "device": "cpu"})


def test_a_hub_id_that_is_not_there_is_one_sentence(hub: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="not a valid model identifier") as caught:
        open_backend("someone/nothing")
    assert "\n" not in str(caught.value)


def test_the_embedded_model_and_a_folder_are_valleys(tiny_checkpoint: Path) -> None:
    assert engine_for(resolve("valley-mini")) == "transformers"
    assert engine_for(resolve(str(tiny_checkpoint))) == "transformers"


def adapter(folder: Path, base: str) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    return folder


def test_an_adapter_belongs_to_the_kind_of_its_base(tmp_path: Path, hub: dict[str, str]) -> None:
    hub |= {"someone/valley-7b": "valley", "someone/Qwen3-VL": "qwen3_vl"}
    assert engine_for(resolve(str(adapter(tmp_path / "a", "someone/valley-7b")))) == "transformers"
    with pytest.raises(ConfigError, match=r"an adapter of someone/Qwen3-VL.*'qwen3_vl'.*merge"):
        open_backend(str(adapter(tmp_path / "b", "someone/Qwen3-VL")))


def test_a_model_of_words_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(
        ConfigError, match=r"want a Valley checkpoint or an image-text-to-text model.*'llama'"
    ):
        open_backend(str(tmp_path))


def test_a_kind_nobody_knows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "something_else"}))
    with pytest.raises(ConfigError, match="something_else"):
        open_backend(str(tmp_path))


def test_a_server_is_asked_by_its_address(engines: list[str]) -> None:
    open_backend("m", base_url="http://127.0.0.1:1/v1", api_key="k")
    assert engines == ["openai"]
    assert Opened.calls == [("http://127.0.0.1:1/v1", {"model": "m", "api_key": "k"})]
    with pytest.raises(ConfigError, match="a server has its own dtype and device"):
        open_backend("m", base_url="http://127.0.0.1:1/v1", dtype="float16")


def test_python_takes_the_only_model_of_a_server(engines: list[str]) -> None:
    Valley.from_pretrained(base_url="http://127.0.0.1:1/v1")
    Valley.from_pretrained()
    assert engines == ["openai", "transformers"]
    assert Opened.calls[0][1]["model"] is None
    assert Opened.calls[1][0] == "valley-mini"


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"VALLEY_API_KEY": "a", "OPENAI_API_KEY": "b"}, "a"),
        ({"OPENAI_API_KEY": "b"}, "b"),
        ({"VALLEY_API_KEY": "", "OPENAI_API_KEY": ""}, None),
    ],
)
def test_the_commands_key_comes_from_the_environment(
    engines: list[str], monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], wanted: str | None
) -> None:
    for name in ("VALLEY_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, key in keys.items():
        monkeypatch.setenv(name, key)
    open_model("m", "http://127.0.0.1:1/v1")
    open_model()
    assert [options.get("api_key") for _, options in Opened.calls] == [wanted, None]
    assert Opened.calls[1][0] == "valley-mini"


def test_an_engine_nobody_knows_names_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="image_text_to_text"):
        open_backend("valley-mini", engine="image_txt_to_text")


def test_a_torchvision_of_another_build_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        try:
            raise RuntimeError("operator torchvision::nms does not exist")
        except RuntimeError as error:
            raise ModuleNotFoundError("Could not import module 'PreTrainedModel'") from error

    monkeypatch.setattr(BACKENDS, "get", broken)
    with pytest.raises(ConfigError, match=r"torchvision does not load .*install the build that fits"):
        open_backend("valley-mini")


def test_no_model_without_an_address() -> None:
    with pytest.raises(ConfigError, match="want a model"):
        open_backend(None)


def test_chat_asks_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    from valley.cli import run

    refused = BackendError("http://127.0.0.1:1/v1: no answer")

    class Refusing:
        @classmethod
        def connect(cls, *_: Any, **__: Any) -> None:
            raise refused

    monkeypatch.setattr(BACKENDS, "get", lambda name: Refusing)
    assert run(["chat", "-q", "Hello", "--base-url", "http://127.0.0.1:1/v1"]) == 1
    assert "no answer" in capsys.readouterr().err
    assert run(["chat", "-q", "Hello", "--base-url", "http://127.0.0.1:1/v1", "--device", "cpu"]) == 1
    assert "a server has its own dtype and device" in capsys.readouterr().err
