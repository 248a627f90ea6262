"""What lessons hand on beside their models: a temporal pooling, and two maps whose product is a projector.

The tower's lesson reads numbers off its tokens by a linear map, the language lesson puts such numbers before
the language model by another. One after the other they bring a token of the tower into the language model's
space, which is what a linear projector does: so it can begin where the lessons ended.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from valley.errors import ConfigError
from valley.model.checkpoint_files import read_tensors
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.published_layout import our_name
from valley.synthetic.world import COLORS
from valley.training.frame_labels import FRAME_WIDTH

POOLING_NAME = "temporal_pooling.safetensors"
READ_NAME = "read_numbers.safetensors"
SEE_NAME = "see_numbers.safetensors"


def save_read(numbers: nn.Linear, folder: Path) -> None:
    """Keep the map from the tower's tokens to numbers: first a class token's, then a patch token's."""
    save_file(numbers.state_dict(), folder / READ_NAME)


def save_see(see_frame: nn.Linear, see_patch: nn.Linear, folder: Path) -> None:
    """Keep the maps from a class token's and from a patch token's numbers to the language model's space."""
    maps = {"frame": see_frame, "patch": see_patch}
    save_file({f"{n}.{k}": t for n, m in maps.items() for k, t in m.state_dict().items()}, folder / SEE_NAME)


def save_pooling(pooling: nn.Module, folder: Path) -> None:
    """Keep a temporal pooling."""
    save_file(pooling.state_dict(), folder / POOLING_NAME)


def load_pooling(model: ValleyForConditionalGeneration, folder: Path) -> None:
    """Begin with the pooling that a language lesson left.

    Raises:
        ConfigError: there is none in the folder, or it is another kind of pooling.
    """
    given = _load(folder, POOLING_NAME, setting="temporal_pooling_weights")
    pooling = model.model.temporal_pooling
    if {n: t.shape for n, t in pooling.state_dict().items()} != {n: t.shape for n, t in given.items()}:
        raise ConfigError(
            f"{folder / POOLING_NAME}: these are not the weights of a {model.config.temporal_pooling!r} "
            f"pooling with {model.config.temporal_pooling_config} of width {pooling.dim}; "
            "state the temporal_pooling and temporal_pooling_config that they were taught with"
        )
    pooling.load_state_dict(given)


def load_projector(model: ValleyForConditionalGeneration, vision: Path, language: Path) -> None:
    """Begin with the projector that the lessons' maps make.

    Raises:
        ConfigError: a folder lacks its map, or the projector is not one linear layer of their widths.
    """
    setting = "projector_from_lessons"
    weight, bias = projector_of(
        _load(vision, READ_NAME, setting=setting), _load(language, SEE_NAME, setting=setting)
    )
    projector = model.model.multi_modal_projector
    if projector.linear_2 is not None or projector.linear_1.weight.shape != weight.shape:
        raise ConfigError(
            f"{setting}: want a linear projector from {weight.shape[1]} to {weight.shape[0]} numbers, got "
            f"{model.config.projector_type!r} from {projector.linear_1.in_features}"
        )
    projector.linear_1.load_state_dict({"weight": weight, "bias": bias})


def load_published_projector(model: ValleyForConditionalGeneration, path: Path) -> None:
    """Begin with the projector that stage 1 of 2023 wrote: a file of `mm_projector` weights.

    Raises:
        ConfigError: the file is damaged, holds other weights, or is of other widths.
    """
    if not path.is_file():
        raise ConfigError(f"projector_weights: {path}: there is no such file")
    tensors = read_tensors(path)
    prefix = "model.multi_modal_projector.linear_1."
    given = {}
    for name, tensor in tensors.items():
        try:
            ours = our_name(name) or ""
        except KeyError:
            ours = ""
        if not ours.startswith(prefix):
            raise ConfigError(f"projector_weights: {path}: want mm_projector weights alone, got {name}")
        given[ours.removeprefix(prefix)] = tensor
    projector = model.model.multi_modal_projector
    want = {name: tuple(t.shape) for name, t in projector.linear_1.state_dict().items()}
    got = {name: tuple(t.shape) for name, t in given.items()}
    if projector.linear_2 is not None or want != got:
        raise ConfigError(
            f"projector_weights: {path}: want a linear projector with {want}, got {got} for "
            f"{model.config.projector_type!r}"
        )
    projector.linear_1.load_state_dict(given)


def projector_of(read: dict[str, Tensor], see: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Multiply the lessons' maps: weight f[dim vision_dim] and bias f[dim].

    There is one bias for two kinds of tokens. What the patch tokens' bias has more goes to the numbers that
    say which colour a token tells of: they add up to one in a patch token and to zero in a class token.
    """
    patch = see["patch.weight"].clone()
    patch[:, -len(COLORS) :] += (see["patch.bias"] - see["frame.bias"])[:, None]
    assert see["frame.weight"].shape[1] == FRAME_WIDTH
    joined = torch.cat([see["frame.weight"], patch], 1)
    return joined @ read["weight"], joined @ read["bias"] + see["frame.bias"]


def _load(folder: Path, name: str, *, setting: str) -> dict[str, Tensor]:
    path = folder / name
    if not path.is_file():
        raise ConfigError(f"{setting}: want a folder with {name}, got {folder}")
    return load_file(path)
