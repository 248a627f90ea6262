"""Teaches a small CLIP vision tower to see the synthetic world, from nothing.

Dense heads carry the lesson: at equal frames a contrastive or captioning loss learned no position. On the
last layer the class token tells of every colour, and each patch token of one (presence, shape, position,
radius, turn), of the background, and whether this is the world at all; half way up, the patch tokens tell
what covers them. The heads are thrown away, but for the plain map that reads the numbers. The tower is
saved as a plain `CLIPVisionModel`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import CLIPVisionConfig, CLIPVisionModel

from valley.synthetic.foreign import draw_foreign
from valley.synthetic.generator import draw_scene
from valley.synthetic.render import render_frames
from valley.synthetic.world import COLORS, SHAPES
from valley.training.frame_labels import (
    BACKGROUND_WIDTH,
    FRAME_WIDTH,
    OBJECT_WIDTH,
    PATCH_WIDTH,
    color_of_patch,
    foreign_labels,
    frame_labels,
    object_numbers,
)
from valley.training.handing_on import save_read
from valley.training.lessons import LessonConfig, LessonResult, begin, finish, teach
from valley.training.progress import OnEvent, ignore_event
from valley.training.record import write_json

PIXEL_MEAN, PIXEL_STD = 0.5, 0.25
BICUBIC = 3
"""Pillow's number of the filter."""

TURNED_WEIGHT = 8.0
"""Few objects spin: without this the heads never learn to see a turn."""

NUMBER_WEIGHTS = (1.0, 0.9, 0.9, 0.3, 1.0, 1.0, *[0.25] * len(SHAPES))
"""What errors in an object's numbers count: place so much that it does not drift while shapes are learned."""


class VisionConfig(LessonConfig):
    """Recipe of the vision tower; `batch_size` counts scenes."""

    stage: Literal["vision"]
    frames_per_scene: PositiveInt = 3
    image_size: PositiveInt = 64
    patch_size: PositiveInt = 8
    hidden_size: PositiveInt = 128
    num_layers: PositiveInt = 4
    num_heads: PositiveInt = 4
    # Of the scenes: those of the rich level, and draws that are not of this world.
    rich_share: float = 0.6
    foreign_share: float = 0.15


class ScenePictures(Dataset[dict[str, Tensor]]):
    """Single frames of fresh scenes with the attributes of every colour slot."""

    def __init__(self, config: VisionConfig) -> None:
        """Remember the recipe; item i is drawn from the seed and i alone."""
        self.config = config

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Draw one scene and look at it at random times: pixels u8[frame height width 3] and its labels."""
        rng = np.random.default_rng([self.config.seed, 77, index])
        size_px, count = self.config.image_size, self.config.frames_per_scene
        grid = size_px // self.config.patch_size
        if rng.random() < self.config.foreign_share:
            pixels = draw_foreign(rng, count, size_px)
            labels = [foreign_labels(grid)] * count
        else:
            scene = draw_scene(rng, level="rich" if rng.random() < self.config.rich_share else "core")
            times_s = np.sort(rng.uniform(0, scene.duration_s, size=count)).tolist()
            pixels = render_frames(scene, times_s, size_px=(size_px, size_px)).pixels
            labels = [frame_labels(scene, t, grid) for t in times_s]
        labels = [one | {"numbers": object_numbers(one["slots"], one["shapes"])} for one in labels]
        stacked = {k: torch.from_numpy(np.stack([one[k] for one in labels])) for k in labels[0]}
        return {"pixels": torch.from_numpy(pixels), **stacked}


class AttributeHeads(nn.Module):
    """The teacher's heads: read off the tower's tokens, thrown away afterwards."""

    def __init__(self, dim: int) -> None:
        """Make one plain linear map for the numbers of all tokens, and heads for names."""
        super().__init__()
        self.numbers = nn.Linear(dim, FRAME_WIDTH + PATCH_WIDTH)
        self.class_names = nn.Linear(dim, len(COLORS) * (1 + len(SHAPES)) + 1)
        self.patch_names = nn.Linear(dim, 1 + len(SHAPES))
        self.local_norm = nn.LayerNorm(dim)
        self.local = nn.Linear(dim, 1 + len(COLORS) + len(SHAPES))

    def losses(self, tokens: Tensor, local: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compare what is read off with the labels.

        Args:
            tokens: f[frame 1+patch dim] of the layer that will be read: what is where, by colour.
            local: f[frame patch dim] of the layer whose patches tell what covers them.
            batch: the labels.
        """
        own = batch["foreign"] == 0  # of foreign frames only this one thing is known
        colors = torch.from_numpy(color_of_patch(tokens.shape[1] - 1))
        numbers = self.numbers(tokens).float()
        by_class, by_patch = numbers[:, 0, :FRAME_WIDTH], numbers[:, 1:, FRAME_WIDTH:]
        # What a class token tells stands apart from what patch tokens tell: one projector reads both.
        elsewhere = numbers[:, 0, FRAME_WIDTH:].square().mean() + numbers[:, 1:, :FRAME_WIDTH].square().mean()
        names = self.class_names(tokens[:, 0]).float()
        foreign = F.binary_cross_entropy_with_logits(names[:, -1], batch["foreign"])
        foreign = foreign + (by_class[:, -1] - batch["foreign"]).square().mean()
        told_by_patches = by_patch[..., OBJECT_WIDTH + BACKGROUND_WIDTH]
        foreign = foreign + (told_by_patches - batch["foreign"][:, None]).square().mean()
        color_error = by_patch[..., -len(COLORS) :] - torch.eye(len(COLORS))[colors]
        want, shapes = batch["numbers"][own], batch["shapes"][own]
        here = batch["patch_shapes"][own] != -100
        kinds = self.local(self.local_norm(local[own])).float()
        return {
            "class": _number_error(by_class[own, :-1], want.flatten(1), batch["background"][own]),
            "class_names": _name_error(names[own, :-1].unflatten(-1, (len(COLORS), -1)), shapes),
            "patch": _number_error(
                by_patch[own][..., : OBJECT_WIDTH + BACKGROUND_WIDTH],
                want[:, colors],
                batch["background"][own][:, None].expand(-1, len(colors), -1),
            ),
            "patch_names": _name_error(self.patch_names(tokens[own, 1:]).float(), shapes[:, colors]),
            "patch_color": color_error.square().sum(-1).mean(),
            "elsewhere": elsewhere,
            "foreign": foreign,
            "local_color": F.cross_entropy(
                kinds[..., : 1 + len(COLORS)].flatten(0, 1), batch["patch_colors"][own].flatten()
            ),
            "local_shape": 2
            * F.cross_entropy(kinds[..., 1 + len(COLORS) :][here], batch["patch_shapes"][own][here]),
        }


def _number_error(read: Tensor, objects: Tensor, background: Tensor) -> Tensor:
    """Weigh squared errors of `read` f[... numbers]: objects first, the background behind them."""
    weights = torch.tensor(NUMBER_WEIGHTS)
    want = objects.unflatten(-1, (-1, OBJECT_WIDTH))
    errors = (read[..., :-BACKGROUND_WIDTH].unflatten(-1, (-1, OBJECT_WIDTH)) - want).square() * weights
    turned = want[..., 4:5] < 0
    errors = torch.cat(
        [errors[..., :4], errors[..., 4:6] * (1 + TURNED_WEIGHT * turned), errors[..., 6:]], -1
    )
    return errors.sum(-1).mean() + F.mse_loss(read[..., -BACKGROUND_WIDTH:], background)


def _name_error(logits: Tensor, shapes: Tensor) -> Tensor:
    """Compare logits f[... 1+shape], presence first, with shapes i64[...], -100 where there is nothing."""
    there = shapes != -100
    presence = F.binary_cross_entropy_with_logits(logits[..., 0], there.float())
    return 2 * presence + F.cross_entropy(logits[..., 1:][there], shapes[there])


def make_tower(config: VisionConfig) -> CLIPVisionModel:
    """Make an untrained tower whose position embedding starts as 2-D sines and cosines."""
    tower = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=config.hidden_size,
            intermediate_size=4 * config.hidden_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            image_size=config.image_size,
            patch_size=config.patch_size,
            projection_dim=config.hidden_size,
        )
    )
    grid = config.image_size // config.patch_size
    y, x = np.mgrid[0:grid, 0:grid].reshape(2, -1)
    quarter = config.hidden_size // 4
    rates = 1.0 / 10_000 ** (np.arange(quarter) / quarter)
    waves = [f(c[:, None] * rates) for c in (x, y) for f in (np.sin, np.cos)]
    with torch.no_grad():
        table = tower.embeddings.position_embedding.weight
        table[1:] = 0.4 * torch.from_numpy(np.concatenate(waves, axis=1)).float()
    return tower


class VisionLesson(nn.Module):
    """The tower with the heads that only serve to teach it."""

    def __init__(self, config: VisionConfig) -> None:
        """Make everything untrained."""
        super().__init__()
        self.tower = make_tower(config)
        self.tower.set_attn_implementation("eager")  # on a CPU the faster one, in bf16 by far
        self.local_layer = (config.num_layers + 1) // 2
        self.heads = AttributeHeads(config.hidden_size)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the losses of all heads."""
        hidden = self.tower(pixel_values=normalize(batch["pixels"]), output_hidden_states=True).hidden_states
        return self.heads.losses(hidden[-1], hidden[self.local_layer][:, 1:], batch)


def collate(scenes: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Put the frames of several scenes into one batch."""
    return {name: torch.cat([scene[name] for scene in scenes]) for name in scenes[0]}


def normalize(pixels: Tensor) -> Tensor:
    """Turn u8[frame height width 3] into f32[frame 3 height width] as the tower wants it."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - PIXEL_MEAN) / PIXEL_STD


def train_vision(
    config: VisionConfig, on_event: OnEvent = ignore_event, *, restart: bool = False
) -> LessonResult:
    """Teach the tower and save it with its pixel settings; an interrupted run goes on.

    Raises:
        ConfigError: the run is already finished, and `restart` is not set.
    """
    begin(config, restart=restart)
    torch.manual_seed(config.seed)
    lesson = VisionLesson(config)
    result = teach(lesson, ScenePictures(config), config, collate=collate, on_event=on_event)
    lesson.tower.save_pretrained(config.output_dir)
    save_read(lesson.heads.numbers, config.output_dir)
    save_pixel_settings(config.output_dir, config.image_size)
    finish(config, result, on_event)
    return result


def save_pixel_settings(folder: Path, size_px: int) -> None:
    """Write beside a tower how pictures are scaled for it."""
    pixels = {
        "size": {"height": size_px, "width": size_px},
        "resample": BICUBIC,
        "image_mean": [PIXEL_MEAN] * 3,
        "image_std": [PIXEL_STD] * 3,
    }
    write_json(folder / "preprocessor_config.json", pixels)
