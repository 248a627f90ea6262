"""Teaches a small CLIP vision tower to see the synthetic world, from nothing.

Dense heads on the class token (presence, shape, position and radius of each colour) and on the patch tokens
(colour and shape of what covers them) carry the lesson and are thrown away: at equal frames a contrastive or
captioning loss learned no position. The tower is saved as a plain `CLIPVisionModel`.
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


class VisionConfig(LessonConfig):
    """Recipe of the vision tower; `batch_size` counts scenes."""

    stage: Literal["vision"]
    frames_per_scene: PositiveInt = 2
    image_size: PositiveInt = 64
    patch_size: PositiveInt = 8
    hidden_size: PositiveInt = 128
    num_layers: PositiveInt = 4
    num_heads: PositiveInt = 4
    two_objects_share: float = 0.5


class ScenePictures(Dataset[dict[str, Tensor]]):
    """Single frames of fresh scenes with the attributes of every colour slot."""

    def __init__(self, config: VisionConfig) -> None:
        """Remember the recipe; item i is drawn from the seed and i alone."""
        self.config = config

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Draw one scene and look at it at random times: pixels u8[frame height width 3] and its labels."""
        rng = np.random.default_rng([self.config.seed, 77, index])
        scene = draw_scene(rng, two_objects_share=self.config.two_objects_share)
        times_s = np.sort(rng.uniform(0, scene.duration_s, size=self.config.frames_per_scene)).tolist()
        size_px = self.config.image_size
        pixels = render_frames(scene, times_s, size_px=(size_px, size_px)).pixels
        labels = [frame_labels(scene, t, size_px // self.config.patch_size) for t in times_s]
        stacked = {k: torch.from_numpy(np.stack([one[k] for one in labels])) for k in labels[0]}
        return {"pixels": torch.from_numpy(pixels), **stacked}


def frame_labels(scene: Scene, time_s: float, grid: int) -> dict[str, np.ndarray]:
    """Describe what a frame shows.

    Returns:
        `slots` f32[color 4]: present, x, y, radius (0 where absent); `shapes` i64[color] (-100 where absent);
        `patch_colors` i64[patch] (0 = background) and `patch_shapes` i64[patch] (-100 = background).
    """
    shot, in_shot_s = scene.shot_at(time_s)
    slots = np.zeros((len(COLORS), 4), np.float32)
    shapes = np.full(len(COLORS), -100, np.int64)
    patch_colors = np.zeros((grid, grid), np.int64)
    patch_shapes = np.full((grid, grid), -100, np.int64)
    center_y, center_x = (np.mgrid[0:grid, 0:grid] + 0.5) / grid
    for item in shot.objects:
        x, y = item.position(in_shot_s)
        margin = HIDDEN_BY_EDGE * item.radius
        if not item.exists(in_shot_s) or not all(-margin <= c <= 1 + margin for c in (x, y)):
            continue
        slot, shape = list(COLORS).index(item.color), SHAPES.index(item.shape)
        slots[slot] = 1.0, x, y, item.radius
        shapes[slot] = shape
        covered = (center_x - x) ** 2 + (center_y - y) ** 2 < (0.8 * item.radius) ** 2
        patch_colors[covered] = slot + 1
        patch_shapes[covered] = shape
    return {
        "slots": slots,
        "shapes": shapes,
        "patch_colors": patch_colors.reshape(-1),
        "patch_shapes": patch_shapes.reshape(-1),
    }


class AttributeHeads(nn.Module):
    """The teacher's heads: read off the tower's tokens, thrown away afterwards."""

    def __init__(self, dim: int) -> None:
        """Make one LayerNorm and linear layer for the class token and one for the patch tokens."""
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.slots = nn.Linear(dim, len(COLORS) * (4 + len(SHAPES)))
        self.patch_norm = nn.LayerNorm(dim)
        self.patches = nn.Linear(dim, 1 + len(COLORS) + len(SHAPES))

    def losses(self, tokens: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compare what is read off `tokens` f[frame 1+patch dim] with the labels."""
        slots, shapes = self.read(tokens)
        patches = self.patches(self.patch_norm(tokens[:, 1:])).float()
        want = batch["slots"]
        present = want[..., 0]
        foreground = batch["patch_shapes"].flatten() != -100
        return {
            "present": 4 * F.binary_cross_entropy_with_logits(slots[..., 0], present),
            "position": 15 * F.mse_loss(slots[..., 1:3], want[..., 1:3]) * len(COLORS) / 2,
            "radius": 30 * F.mse_loss(slots[..., 3], want[..., 3]),
            "shape": F.cross_entropy(shapes.flatten(0, 1), batch["shapes"].flatten()),
            "patch_color": F.cross_entropy(
                patches[..., : 1 + len(COLORS)].flatten(0, 1), batch["patch_colors"].flatten()
            ),
            "patch_shape": 2
            * F.cross_entropy(
                patches[..., 1 + len(COLORS) :].flatten(0, 1)[foreground],
                batch["patch_shapes"].flatten()[foreground],
            ),
        }

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read `slots` f32[frame color 4] and `shapes` f32[frame color shape] off the class token."""
        out = self.slots(self.norm(tokens[:, 0])).float()
        out = out.unflatten(-1, (len(COLORS), 4 + len(SHAPES)))
        return out[..., :4], out[..., 4:]


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
