"""Take a small checkpoint apart, so that the lessons and stages that made it can go on from there.

    python docs/experiments/go_on.py valley-mini out/parts
    valley train recipes/mini/language.yaml base=out/parts/language out=out/more english_until=0 rich_from=0
    valley train recipes/mini/align.yaml out=out/align model.vision_tower=out/parts/vision \
        model.language_model=out/more model.temporal_pooling_weights=out/more

Of the lessons a checkpoint keeps the tower, the language model, the pooling and one projector. What they hand
on besides is read off here: the map from the tower's tokens to numbers and that from numbers to the language
model's space are those that fit best (least squares) on frames of fresh scenes; the heads of the language
lesson are taught anew while all else stands still.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save_model
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM

from valley.inference.backends.transformers import TransformersBackend
from valley.synthetic.world import COLORS
from valley.training.frame_labels import (
    FRAME_WIDTH,
    PATCH_WIDTH,
    class_numbers,
    color_of_patch,
    patch_numbers,
)
from valley.training.handing_on import save_pooling, save_read, save_see
from valley.training.language_pretraining import LESSON_NAME, LanguageLesson
from valley.training.language_recipe import LanguageConfig
from valley.training.language_rows import Dialogues
from valley.training.language_rows import collate as collate_rows
from valley.training.precision import wants_bf16
from valley.training.vision_pretraining import (
    ScenePictures,
    VisionConfig,
    collate,
    normalize,
    save_pixel_settings,
)

RECIPES = Path(__file__).parents[2] / "recipes" / "mini"
RIDGE = 1e-4


def take_apart(checkpoint: str, out: Path, num_scenes: int, num_steps: int) -> None:
    """Write `vision` and `language` as the lessons would have left them."""
    backend = TransformersBackend.from_pretrained(checkpoint, device="cpu")
    model: Any = backend.model
    network, tower = model.model, model.model.vision_tower
    vision, language = out / "vision", out / "language"
    vision.mkdir(parents=True, exist_ok=True)
    tower.save_pretrained(vision)
    save_pixel_settings(vision, tower.config.image_size)
    read, see_frame, see_patch = fit_maps(tower, network.multi_modal_projector, num_scenes)
    save_read(read, vision)

    recipe = yaml.safe_load((RECIPES / "language.yaml").read_text(encoding="utf-8"))
    told = {"output_dir": language, "english_until": 0.0, "rich_from": 0.0, "max_steps": num_steps}
    config = LanguageConfig(**{**recipe, **told, "seed": 900})
    lesson = LanguageLesson(config, backend.processor.tokenizer)
    lesson.language_model.load_state_dict(as_causal(model).float().state_dict())
    lesson.temporal_pooling.load_state_dict(network.temporal_pooling.float().state_dict())
    lesson.see_frame.load_state_dict(see_frame.state_dict())
    lesson.see_patch.load_state_dict(see_patch.state_dict())
    teach_heads(lesson, Dialogues(config, backend.processor.tokenizer), config)
    lesson.language_model.save_pretrained(language)
    backend.processor.tokenizer.save_pretrained(language)
    save_pooling(lesson.temporal_pooling, language)
    save_see(lesson.see_frame, lesson.see_patch, language)
    save_model(lesson, str(language / LESSON_NAME))


def as_causal(model: Any) -> Any:  # noqa: ANN401
    """Give the language model of a Valley as one by itself."""
    causal: Any = AutoModelForCausalLM.from_config(model.config.text_config)
    causal.model.load_state_dict(model.model.language_model.state_dict())
    causal.lm_head.load_state_dict(model.lm_head.state_dict())
    return causal


@torch.no_grad()
def fit_maps(tower: Any, projector: Any, num_scenes: int) -> tuple[nn.Linear, nn.Linear, nn.Linear]:  # noqa: ANN401
    """Fit the map from the tower's tokens to numbers, and those from there to the language model."""
    config = VisionConfig(
        stage="vision", output_dir=Path(), max_steps=1, batch_size=8, learning_rate=1, seed=901
    )
    pictures = [ScenePictures(config)[n] for n in range(num_scenes)]
    tokens, wants, owns = [], [], []
    for batch in (collate(pictures[n : n + 64]) for n in range(0, num_scenes, 64)):
        tokens.append(tower.float()(pixel_values=normalize(batch["pixels"])).last_hidden_state)
        wants.append(_numbers(batch))
        owns.append(batch["foreign"] == 0)
    seen, want, own = torch.cat(tokens), torch.cat(wants), torch.cat(owns)
    projected, dim = projector.float()(seen), seen.shape[2]
    by_class, see_frame = _fit_pair(
        seen[:, 0], projected[:, 0], want[:, :FRAME_WIDTH], own, is_foreign=FRAME_WIDTH - 1
    )
    colors = torch.from_numpy(color_of_patch(seen.shape[1] - 1))
    by_patch, see_patch = _fit_pair(
        seen[:, 1:].flatten(0, 1),
        projected[:, 1:].flatten(0, 1),
        want[:, FRAME_WIDTH:].unflatten(1, (-1, PATCH_WIDTH))[:, colors].flatten(0, 1),
        own.repeat_interleave(len(colors)),
        is_foreign=PATCH_WIDTH - len(COLORS) - 1,
    )
    read = nn.Linear(dim, FRAME_WIDTH + PATCH_WIDTH)
    read.weight.copy_(torch.cat([by_class.weight, by_patch.weight]))
    read.bias.copy_(torch.cat([by_class.bias, by_patch.bias]))
    return read, see_frame, see_patch


def _fit_pair(
    tokens: Tensor, projected: Tensor, numbers: Tensor, own: Tensor, *, is_foreign: int
) -> tuple[nn.Linear, nn.Linear]:
    """Fit tokens -> numbers and numbers -> projected tokens; of foreign frames one number alone is known."""
    read = _fit(tokens[own], numbers[own])
    sure = _fit(tokens, numbers[:, is_foreign : is_foreign + 1])
    read.weight[is_foreign], read.bias[is_foreign] = sure.weight[0], sure.bias[0]
    told = torch.where(own[:, None], numbers, read(tokens))
    see = _fit(told, projected)
    error = (read(tokens[own]) - numbers[own]).square().mean()
    unexplained = (see(told) - projected).square().mean() / projected.var()
    print(
        f"numbers are read with a mean squared error of {error:.4f}; {unexplained:.4f} of a token is not told"
    )
    return read, see


def _numbers(batch: dict[str, Tensor]) -> Tensor:
    rows = []
    for objects, background, foreign in zip(
        *(batch[n].numpy() for n in ("numbers", "background", "foreign")), strict=True
    ):
        by_class = class_numbers(objects, background, float(foreign))
        rows.append(np.concatenate([by_class, patch_numbers(objects, background, float(foreign)).ravel()]))
    return torch.from_numpy(np.stack(rows))


def _fit(x: Tensor, y: Tensor) -> nn.Linear:
    wide = torch.cat([x, torch.ones(len(x), 1)], 1).double()
    gram = wide.T @ wide + RIDGE * torch.eye(wide.shape[1], dtype=torch.float64)
    solved = torch.linalg.solve(gram, wide.T @ y.double()).float()
    linear = nn.Linear(x.shape[1], y.shape[1])
    linear.weight.copy_(solved[:-1].T)
    linear.bias.copy_(solved[-1])
    return linear


def teach_heads(lesson: LanguageLesson, rows: Dialogues, config: LanguageConfig) -> None:
    """Teach the heads alone."""
    heads = {n for n, _ in lesson.named_parameters() if "head" in n and not n.startswith("language_model")}
    for name, parameter in lesson.named_parameters():
        parameter.requires_grad_(name in heads)
    moving = [p for p in lesson.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(moving, lr=3e-3)
    sampler = range(rows.num_items)
    loader = DataLoader(rows, config.batch_size, sampler=sampler, collate_fn=collate_rows, num_workers=1)
    for step, batch in enumerate(loader):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / config.max_steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=wants_bf16(config.bf16)):
            losses = lesson(batch)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        if step % 25 == 0 or step + 1 == config.max_steps:
            print(step, {n: round(v.item(), 3) for n, v in losses.items()}, flush=True)
    print({n: round(sum(v) / len(v), 3) for n, v in sorted(lesson.measures.items())})


def main() -> None:
    """Take apart what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("out", type=Path)
    parser.add_argument("--scenes", type=int, default=3000, help="three frames of each")
    parser.add_argument("--steps", type=int, default=200, help="for the heads")
    told = parser.parse_args()
    take_apart(told.checkpoint, told.out, told.scenes, told.steps)


if __name__ == "__main__":
    main()
