"""What a frozen tower sees of a medium, kept on disk: computed once, looked up over epochs and stages.

One file a medium: `<key>.safetensors` with `features` f[frame token vision_dim] and `shown_at_s` f64[frame].
The key is a hash of the medium's bytes, of which frames are shown, and of everything that decides what the
tower makes of them. Files appear whole; processes may share a folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from valley.conversation import Image, Video
from valley.errors import ConfigError, MediaError
from valley.training.config import FeatureCacheSettings, MediaSettings

_DTYPES = {"float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True, eq=False)
class SeenMedium:
    """A medium as the tower saw it.

    Attributes:
        features: f[frame token vision_dim], as `VisualEncoder.tower_features` gives them.
        shown_at_s: f64[frame], seconds.
        is_picture: whether it is a still picture.
    """

    features: Tensor
    shown_at_s: NDArray[np.float64]
    is_picture: bool


@dataclass
class FeatureCache:
    """A folder of features of one tower.

    Attributes:
        settings: folder, bound and type.
        tower: hash of all that decides what the tower makes of a frame.
        media: which frames a clip gives.
        num_frames: of a clip, where `media` does not say.
    """

    settings: FeatureCacheSettings
    tower: str
    media: MediaSettings
    num_frames: int
    _hashes: dict[tuple[str, int, int], str] = field(default_factory=dict, repr=False)

    def path(self, part: Image | Video) -> Path:
        """Say where a medium's features are, or would be.

        Raises:
            MediaError: the medium's file cannot be read.
        """
        wish: dict[str, Any] = {"tower": self.tower, "content": self._content(part.source)}
        if isinstance(part, Video):
            wish |= {"start_s": part.start_s, "end_s": part.end_s, "fps": self.media.fps}
            wish["num_frames"] = self.media.num_frames or (None if self.media.fps else self.num_frames)
        key = hashlib.sha256(json.dumps(wish, sort_keys=True).encode()).hexdigest()
        return self.settings.folder / key[:2] / f"{key[2:42]}.safetensors"

    def get(self, part: Image | Video) -> SeenMedium | None:
        """Look a medium up; None where it is not kept, or its file is damaged."""
        try:
            path = self.path(part)
            kept = load_file(path)
        except (OSError, MediaError, SafetensorError):
            return None
        with contextlib.suppress(OSError):  # the time of use, by which the oldest go first
            os.utime(path)
        return SeenMedium(kept["features"], kept["shown_at_s"].numpy(), isinstance(part, Image))

    def put(self, part: Image | Video, features: Tensor, shown_at_s: NDArray[np.float64]) -> None:
        """Keep a medium's features."""
        path = self.path(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = path.with_name(f"{path.name}.{os.getpid()}.part")
        kept = {
            "features": features.to("cpu", _DTYPES[self.settings.dtype]).contiguous(),
            "shown_at_s": torch.from_numpy(np.ascontiguousarray(shown_at_s)),
        }
        save_file(kept, mine)
        mine.replace(path)

    def missing(self, parts: Iterable[Image | Video]) -> list[Image | Video]:
        """List the media that are not kept, each once; what cannot be read is left out."""
        wanted: dict[Path, Image | Video] = {}
        for part in parts:
            with contextlib.suppress(MediaError):
                wanted.setdefault(self.path(part), part)
        return [part for path, part in wanted.items() if not path.is_file()]

    def make_room(self, num_bytes: int) -> None:
        """Remove the features that were used longest ago, until so many bytes more fit.

        Raises:
            ConfigError: they would not fit into an empty cache either.
        """
        limit = int(self.settings.max_gb * 1e9)
        if num_bytes > limit:
            raise ConfigError(
                f"feature_cache: the features of this data take {num_bytes / 1e9:.1f} GB, and max_gb is "
                f"{self.settings.max_gb:g}; raise it, or leave feature_cache out"
            )
        files = sorted(self.settings.folder.rglob("*.safetensors"), key=lambda f: f.stat().st_mtime)
        held = sum(f.stat().st_size for f in files)
        for file in files:
            if held + num_bytes <= limit:
                return
            held -= file.stat().st_size
            file.unlink(missing_ok=True)

    def _content(self, source: Any) -> str:  # noqa: ANN401
        if isinstance(source, bytes):
            return hashlib.sha256(source).hexdigest()
        path = Path(source)
        try:
            if path.is_dir():
                digest = hashlib.sha256()
                for file in sorted(path.iterdir()):
                    digest.update(file.name.encode() + self._content(file).encode())
                return digest.hexdigest()
            stat = path.stat()
            known = (str(path), stat.st_size, stat.st_mtime_ns)
            if known not in self._hashes:
                self._hashes[known] = _sha256(path)
        except OSError as error:
            raise MediaError(path, (error.strerror or "cannot be read").lower()) from error
        return self._hashes[known]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def tower_identity(model: Any, processor: Any) -> str:  # noqa: ANN401
    """Hash what decides the features of a frame: the tower's weights, the layer read, the preprocessing."""
    config = model.config
    said = {
        "tower": config.vision_config.to_dict(),
        "layer": config.vision_feature_layer,
        "prefix": config.num_prefix_tokens,
        "pixels": config.pixel_dtype,
        "image": processor.image_settings,
        "video": processor.video_settings,
    }
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.model.vision_tower.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
