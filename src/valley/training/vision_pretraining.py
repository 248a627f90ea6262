"""Teaches a small CLIP vision tower to see the synthetic world, from nothing.

Dense heads on the class token (presence, shape, position, radius and turn of each colour, the background, and
whether this is the world at all) and on the patch tokens (colour and shape of what covers them) carry the
lesson and are thrown away: at equal frames a contrastive or captioning loss learned no position. The tower
is saved as a plain `CLIPVisionModel`.
"""

from __future__ import annotations

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
from valley.synthetic.scene import Scene
from valley.synthetic.world import COLORS, SHAPES
from valley.training.lessons import LessonConfig, LessonResult, begin, finish, teach
from valley.training.progress import OnEvent, ignore_event
from valley.training.record import write_json

PIXEL_MEAN, PIXEL_STD = 0.5, 0.25
BICUBIC = 3
"""Pillow's number of the filter."""

HIDDEN_BY_EDGE = 0.35
"""An object counts as present while its centre is at most this many radii outside the picture."""

SLOT_WIDTH = 6
"""Numbers of a colour slot: present, x, y, radius, and cosine - 1 and sine of the turn."""

BACKGROUND_WIDTH = 3
GREY_UNIT = 64.0
"""Backgrounds are given as sRGB in units of this many grey values."""

SYMMETRY = {"circle": 0, "square": 4, "triangle": 3, "cross": 4}
"""So many times in a full turn each shape looks as it did; a circle always does."""

TURNED_WEIGHT = 8.0
"""Few objects spin: without this the heads never learn to see a turn."""


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
        stacked = {k: torch.from_numpy(np.stack([one[k] for one in labels])) for k in labels[0]}
        return {"pixels": torch.from_numpy(pixels), **stacked}


def frame_labels(scene: Scene, time_s: float, grid: int) -> dict[str, np.ndarray]:
    """Describe what a frame shows.

    Returns:
        `slots` f32[color slot]: present, x, y, radius, cosine - 1 and sine of the turn (0 where absent);
        `shapes` i64[color] (-100 where absent); `background` f32[3]; `foreign` f32[]; `patch_colors`
        i64[patch] (0 = background) and `patch_shapes` i64[patch] (-100 = background).
    """
    shot, in_shot_s = scene.shot_at(time_s)
    labels = foreign_labels(grid) | {"foreign": np.zeros((), np.float32)}
    slots, shapes = labels["slots"], labels["shapes"]
    patch_colors, patch_shapes = labels["patch_colors"], labels["patch_shapes"]
    center_y, center_x = (np.mgrid[0:grid, 0:grid].reshape(2, -1) + 0.5) / grid
    for item in shot.objects:
        state = item.state(in_shot_s)
        margin = HIDDEN_BY_EDGE * state.radius
        if not state.exists or not all(-margin <= c <= 1 + margin for c in (state.x, state.y)):
            continue
        slot, shape = _COLOR_SLOTS[state.color], SHAPES.index(item.shape)
        turn = SYMMETRY[item.shape] * state.turn_rad
        slots[slot] = 1.0, state.x, state.y, state.radius, np.cos(turn) - 1, np.sin(turn)
        shapes[slot] = shape
        covered = (center_x - state.x) ** 2 + (center_y - state.y) ** 2 < (0.8 * state.radius) ** 2
        patch_colors[covered] = slot + 1
        patch_shapes[covered] = shape
    labels["background"] = np.mean(shot.background.colors, axis=0, dtype=np.float32) / np.float32(GREY_UNIT)
    return labels


def foreign_labels(grid: int) -> dict[str, np.ndarray]:
    """Describe a frame of another world, as `frame_labels` does: nothing is known but that it is foreign."""
    return {
        "slots": np.zeros((len(COLORS), SLOT_WIDTH), np.float32),
        "shapes": np.full(len(COLORS), -100, np.int64),
        "background": np.zeros(BACKGROUND_WIDTH, np.float32),
        "foreign": np.ones((), np.float32),
        "patch_colors": np.zeros(grid * grid, np.int64),
        "patch_shapes": np.full(grid * grid, -100, np.int64),
    }


_COLOR_SLOTS = {color: slot for slot, color in enumerate(COLORS)}


class AttributeHeads(nn.Module):
    """The teacher's heads: read off the tower's tokens, thrown away afterwards."""

    def __init__(self, dim: int) -> None:
        """Make one LayerNorm and linear layer for the class token and one for the patch tokens."""
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.slots = nn.Linear(dim, len(COLORS) * (SLOT_WIDTH + len(SHAPES)))
        self.frame = nn.Linear(dim, BACKGROUND_WIDTH + 1)
        self.patch_norm = nn.LayerNorm(dim)
        self.patches = nn.Linear(dim, 1 + len(COLORS) + len(SHAPES))

    def losses(self, tokens: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compare what is read off `tokens` f[frame 1+patch dim] with the labels."""
        slots, shapes, background, foreign = self.read(tokens)
        own = batch["foreign"] == 0  # of foreign frames only this one thing is known
        tokens, slots, shapes, background = tokens[own], slots[own], shapes[own], background[own]
        patches = self.patches(self.patch_norm(tokens[:, 1:])).float()
        want = batch["slots"][own]
        foreground = batch["patch_shapes"][own].flatten() != -100
        turned = want[..., 4] < 0
        turn_error = (slots[..., 4:] - want[..., 4:]).square().sum(-1)
        return {
            "present": 4 * F.binary_cross_entropy_with_logits(slots[..., 0], want[..., 0]),
            "position": 15 * F.mse_loss(slots[..., 1:3], want[..., 1:3]) * len(COLORS) / 2,
            "radius": 30 * F.mse_loss(slots[..., 3], want[..., 3]),
            "turn": (turn_error * (1 + TURNED_WEIGHT * turned)).mean(),
            "shape": F.cross_entropy(shapes.flatten(0, 1), batch["shapes"][own].flatten()),
            "background": F.mse_loss(background, batch["background"][own]),
            "foreign": F.binary_cross_entropy_with_logits(foreign, batch["foreign"]),
            "patch_color": F.cross_entropy(
                patches[..., : 1 + len(COLORS)].flatten(0, 1), batch["patch_colors"][own].flatten()
            ),
            "patch_shape": 2
            * F.cross_entropy(
                patches[..., 1 + len(COLORS) :].flatten(0, 1)[foreground],
                batch["patch_shapes"][own].flatten()[foreground],
            ),
        }

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Read the class token.

        Returns:
            `slots` f32[frame color slot] (presence as a logit), `shapes` f32[frame color shape] logits,
            `background` f32[frame 3] and `foreign` f32[frame], a logit.
        """
        told = self.norm(tokens[:, 0])
        out = self.slots(told).float().unflatten(-1, (len(COLORS), SLOT_WIDTH + len(SHAPES)))
        frame = self.frame(told).float()
        return out[..., :SLOT_WIDTH], out[..., SLOT_WIDTH:], frame[..., :-1], frame[..., -1]


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
        self.heads = AttributeHeads(config.hidden_size)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the losses of all heads."""
        hidden = self.tower(pixel_values=normalize(batch["pixels"]), output_hidden_states=True).hidden_states
        return self.heads.losses(hidden[-1], batch)


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
    pixels = {
        "size": {"height": config.image_size, "width": config.image_size},
        "resample": BICUBIC,
        "image_mean": [PIXEL_MEAN] * 3,
        "image_std": [PIXEL_STD] * 3,
    }
    write_json(config.output_dir / "preprocessor_config.json", pixels)
    finish(config, result, on_event)
    return result
