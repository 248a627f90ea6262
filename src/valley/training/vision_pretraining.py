"""Teaches a small CLIP vision tower to see the synthetic world, from nothing.

Dense heads on the class token (presence, shape, position and radius of each colour) and on the patch tokens
(colour and shape of what covers them) carry the lesson and are thrown away: at equal frames a contrastive
or captioning loss learned no position. The tower is saved as a plain `CLIPVisionModel`.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPVisionConfig, CLIPVisionModel

from valley.synthetic.generator import draw_scene
from valley.synthetic.render import render_frames
from valley.synthetic.scene import Scene
from valley.synthetic.world import COLORS, SHAPES

logger = logging.getLogger(__name__)

PIXEL_MEAN, PIXEL_STD = 0.5, 0.25
FRAMES_PER_SCENE = 2
HIDDEN_BY_EDGE = 0.35
"""An object counts as present while its centre is at most this many radii outside the picture."""


class VisionConfig(BaseModel):
    """Recipe of the vision tower."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Literal["vision"]
    output_dir: Path
    seed: int = 0
    num_frames: int = Field(gt=0)
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup_steps: int = 150
    save_every_steps: int = 500
    image_size: int = 64
    patch_size: int = 8
    hidden_size: int = 128
    num_layers: int = 4
    num_heads: int = 4
    two_objects_share: float = 0.5
    bf16: bool = True


class ScenePictures(Dataset[dict[str, Tensor]]):
    """Single frames of fresh scenes with the attributes of every colour slot."""

    def __init__(self, config: VisionConfig) -> None:
        """Remember the recipe; item i is drawn from the seed and i alone."""
        self.config = config

    def __len__(self) -> int:
        return self.config.num_frames // FRAMES_PER_SCENE

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Draw one scene and look at it at random times: pixels u8[frame height width 3] and its labels."""
        rng = np.random.default_rng([self.config.seed, 77, index])
        scene = draw_scene(rng, two_objects_share=self.config.two_objects_share)
        times_s = rng.uniform(0, scene.duration_s, size=FRAMES_PER_SCENE).tolist()
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
            attn_implementation="eager",  # on CPU in bfloat16 about 1.4 times as fast as sdpa
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


@dataclass
class _State:
    tower: CLIPVisionModel
    heads: AttributeHeads
    optimizer: torch.optim.Optimizer
    step: int = 0

    def parts(self) -> dict[str, Any]:
        return {"tower": self.tower, "heads": self.heads, "optimizer": self.optimizer}

    def save(self, path: Path) -> None:
        part = path.with_name(path.name + ".part")
        torch.save({"step": self.step} | {k: v.state_dict() for k, v in self.parts().items()}, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        saved = torch.load(path, weights_only=True)
        self.step = saved["step"]
        for name, part in self.parts().items():
            part.load_state_dict(saved[name])


def train_vision(config: VisionConfig, on_event: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """Train the tower and save it; continue from the last checkpoint in the output folder.

    Args:
        config: the recipe.
        on_event: called with {"step", "max_steps", "loss", ...} about once a second.

    Returns:
        The folder with the saved `CLIPVisionModel` and `training.json`.
    """
    torch.manual_seed(config.seed)
    config.output_dir.mkdir(parents=True, exist_ok=True)
    tower, heads = make_tower(config), AttributeHeads(config.hidden_size)
    parameters = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    state = _State(tower, heads, optimizer)
    checkpoint = config.output_dir / "checkpoint.pt"
    if checkpoint.exists():
        state.load(checkpoint)
        logger.info("continuing %s at step %d", config.output_dir, state.step)
    began_s, report = time.monotonic(), {}
    max_steps = config.num_frames // config.batch_size
    for batch in _batches(config, first_step=state.step):
        report = _step(config, state, batch, max_steps)
        if state.step % config.save_every_steps == 0:
            state.save(checkpoint)
        if on_event and state.step % 20 == 0:
            on_event({"stage": "vision", "step": state.step, "max_steps": max_steps, **report})
    tower.save_pretrained(config.output_dir)
    record = {
        "config": config.model_dump(mode="json"),
        "seconds_this_run": round(time.monotonic() - began_s, 1),
        "final": report,
        "num_parameters": sum(p.numel() for p in tower.parameters()),
    }
    (config.output_dir / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return config.output_dir


def _batches(config: VisionConfig, *, first_step: int) -> Iterator[dict[str, Tensor]]:
    scenes = config.batch_size // FRAMES_PER_SCENE
    order = range(first_step * scenes, config.num_frames // FRAMES_PER_SCENE)
    loader = DataLoader(
        ScenePictures(config),
        batch_size=scenes,
        sampler=order,
        num_workers=1,
        drop_last=True,
        prefetch_factor=4,
    )
    for batch in loader:
        yield {k: v.flatten(0, 1) for k, v in batch.items()}


def normalize(pixels: Tensor) -> Tensor:
    """Turn u8[frame height width 3] into f32[frame 3 height width] as the tower wants it."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - PIXEL_MEAN) / PIXEL_STD


def _step(config: VisionConfig, state: _State, batch: dict[str, Tensor], max_steps: int) -> dict[str, float]:
    warm = min(1.0, (state.step + 1) / config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * state.step / max_steps))
    for group in state.optimizer.param_groups:
        group["lr"] = config.learning_rate * warm * max(cosine, 0.01)
    with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
        hidden = state.tower(pixel_values=normalize(batch["pixels"]), output_hidden_states=True).hidden_states
        losses = state.heads.losses(hidden[-1], batch)
    loss = torch.stack(list(losses.values())).sum()
    state.optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([p for g in state.optimizer.param_groups for p in g["params"]], 1.0)
    state.optimizer.step()
    state.step += 1
    return {"loss": loss.item()} | {k: v.item() for k, v in losses.items()}
