"""Describe every clip of a folder with Ray Data, each worker with the model of its own.

    pip install 'valley-vl[ray]'
    python examples/ray_caption.py /shared/clips /shared/captions --model out/instruct --workers 8 --gpus 1

Writes Parquet files: path, answer, timestamps_s, error, and with --features the visual tokens that the
language model saw, float32 [token, dim]. Clips that are in OUT already, and are no errors, are passed over: a
run that was interrupted goes on. A clip that cannot be read is a row with an error.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valley.conversation import Conversation, Video, user
from valley.errors import ValleyError
from valley.inference.backend import GenerationParams
from valley.inference.opening import open_backend
from valley.video.decoding import UNTRUSTED

if TYPE_CHECKING:
    from valley.inference.backend import Backend

SUFFIXES = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".gif", ".ts"})
ROWS_A_FILE = 64  # what a lost worker costs, and how often something reaches the disk


class Captioner:
    """What Ray starts once a worker, and calls once a clip."""

    def __init__(self, model: str, question: str, max_new_tokens: int, *, features: bool) -> None:
        """Load the model, or connect to where it is served."""
        is_server = model.startswith(("http://", "https://"))
        self._backend: Backend = open_backend(None, base_url=model) if is_server else open_backend(model)
        self._question, self._features = question, features
        # A clip that is damaged or has no end costs its row alone.
        self._params = GenerationParams(max_new_tokens=max_new_tokens, isolated=True, limits=UNTRUSTED)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Describe one clip."""
        try:
            return row | self._described(Video(row["path"]))
        except ValleyError as error:
            return row | self._result(error=str(error))

    def _described(self, video: Video) -> dict[str, Any]:
        conversation = Conversation((user(video, self._question),))
        pieces = list(self._backend.stream(conversation, self._params))
        finish = pieces[-1].finish
        times_s = finish.media[0].timestamps_s if finish is not None else ()
        return self._result(answer="".join(p.text for p in pieces), times_s=times_s, video=video)

    def _result(
        self, answer: str = "", times_s: tuple[float, ...] = (), error: str = "", video: Video | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = {"answer": answer, "timestamps_s": list(times_s), "error": error}
        if self._features:
            result["features"] = [] if video is None else self._encoded(video)
        return result

    def _encoded(self, video: Video) -> list[list[float]]:
        """Give a clip's visual tokens, from the frames that the answer was made from."""
        import torch

        from valley.inference.backends.transformers import TransformersBackend
        from valley.model.video_processing_valley import Clip

        if not isinstance(self._backend, TransformersBackend):
            raise TypeError("want a Valley checkpoint in this process for --features, got another engine")
        frames = self._backend.look(video, self._params)
        model, processor = self._backend.model, self._backend.processor
        batch = processor.video_processor.batch([Clip(frames.pixels, frames.shown_at_s, str(video.source))])
        inputs = {name: torch.from_numpy(array).to(model.device) for name, array in batch.items()}
        with torch.inference_mode():
            return model.get_video_features(**inputs).pooler_output[0].float().tolist()


def find_clips(folder: Path) -> list[str]:
    """List the clips below a folder."""
    return sorted(str(p) for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)


def done_already(out: Path) -> set[str]:
    """List the clips that have an answer."""
    import pyarrow.parquet as pq

    tables = [pq.read_table(file, columns=["path", "error"]) for file in sorted(out.glob("*.parquet"))]
    rows = [row for table in tables for row in table.to_pylist()]
    return {row["path"] for row in rows if not row["error"]}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="valley-mini", help="a name, a folder, a hub id, or http://.../v1")
    parser.add_argument("--question", default="Describe the video.")
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--features", action="store_true", help="keep the visual tokens, too")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--gpus", type=float, default=0, help="of each worker; 0.5: two share one")
    parser.add_argument("--address", default="local", help="local, auto, or ray://host:10001")
    given = parser.parse_args()

    import ray

    done = done_already(given.out)
    rows = [{"path": path} for path in find_clips(given.folder.resolve()) if path not in done]
    print(f"{len(rows)} clips to describe, {len(done)} done before")
    if not rows:
        return
    # One core more than workers, so that what is described reaches the disk meanwhile.
    local = {"num_cpus": given.workers + 1, "include_dashboard": False} if given.address == "local" else {}
    ray.init(given.address, log_to_driver=False, **local)
    ray.data.DataContext.get_current().enable_progress_bars = False
    blocks = max(given.workers, -(-len(rows) // ROWS_A_FILE))
    described = ray.data.from_items(rows, override_num_blocks=min(blocks, len(rows))).map(
        Captioner,  # pyright: ignore[reportArgumentType] (Ray's annotation knows functions alone)
        fn_constructor_args=(given.model, given.question, given.max_new_tokens),
        fn_constructor_kwargs={"features": given.features},
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=given.workers),
        num_cpus=1,
        num_gpus=given.gpus,
    )
    described.write_parquet(str(given.out), mode="append")
    ray.shutdown()


if __name__ == "__main__":
    main()
