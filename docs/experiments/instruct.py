"""Are conversations made by `valley instruct` as good to train on as the built-in ones? Fills instruct.md.

    OMP_NUM_THREADS=1 python docs/experiments/instruct.py --out out/instruct-data

The same scenes, rendered as H.264 files, are told of in two ways: by the conversations that the synthetic
world makes itself, and by those that `valley instruct` has written about a collection of the same clips. Its
writer is a server on this machine that knows each scene and puts what it is asked for into the world's own
words, as a model would that was told them. Both ways start from the same checkpoint: the embedded model's
tower, pooling and language model with a new projector after a short stage 1. Then stage 2, as many steps
each; then `valley eval synthetic`. What is finished is not run again.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from valley.conversation import Conversation, Video, assistant, read_jsonl, user, write_jsonl
from valley.synthetic import questions
from valley.synthetic.dataset import scene_number
from valley.synthetic.narration import caption
from valley.synthetic.truth import Truth, truth_of
from valley.synthetic.world import LANGUAGES
from valley.whole_files import write_whole

HERE = Path(__file__).parent
RECIPES = HERE.parents[1] / "recipes"
SEED = 31
TASKS_OF = {
    "about a number": ("count",),
    "order of events": ("order",),
    "a cause and its effect": ("cause",),
    "about time": ("when",),
    "cannot be answered from": ("unanswerable",),
    "main action": ("action",),
    "detailed description": ("description",),
}
"""What to ask of the world, by words of the task that `valley instruct` sends."""

ONE_ROUND = ("caption",)
MIX = (
    "dialogue:8,counting,order_of_events,causal_inference,time_grounding,action_recognition,unanswerable,"
    "short_caption,multi_shot_caption,long_description"
)
"""Half of them dialogues, as in the paper's mix."""

TALK = (
    "color",
    "shape",
    "size",
    "direction",
    "action",
    "count",
    "exist",
    "happens",
    "order",
    "when",
    "cause",
)


class Writer:
    """A server that knows the scenes, and writes in the world's own words what it is asked for."""

    def __init__(self, truths: Mapping[str, Truth]) -> None:
        """Take the truths by their captions, one of which stands in every prompt."""
        self.truths = truths

    def app(self) -> Any:  # noqa: ANN401
        """Give the ASGI application."""
        from starlette.applications import Starlette
        from starlette.requests import Request
        from starlette.responses import JSONResponse
        from starlette.routing import Route

        async def complete(request: Request) -> JSONResponse:
            asked = await request.json()
            content = json.dumps(self.write(asked), ensure_ascii=False)
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            message = {"role": "assistant", "content": content}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            told = {"id": "w", "object": "chat.completion", "model": asked["model"]}
            return JSONResponse({**told, "choices": [choice], "usage": usage})

        async def models(_: Request) -> JSONResponse:
            return JSONResponse({"object": "list", "data": [{"id": "world", "object": "model"}]})

        routes = [Route("/v1/chat/completions", complete, methods=["POST"]), Route("/v1/models", models)]
        return Starlette(routes=routes)

    def write(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Write one conversation."""
        system, card = (str(m["content"]) for m in asked["messages"][:2])
        language = _found(r"in \w+ \((\w+)", system)
        fact, told = re.findall(r"^(F\d+) \[caption, \w+\] (.*)$", card, re.MULTILINE)[0]
        truth, task = self.truths[told], system.partition("Task: ")[2]
        number = re.search(r"exactly (\d+) turns", task)
        seed = int.from_bytes(f"{card}{task}{language}{len(asked['messages'])}".encode()[-64:], "little")
        rng = np.random.default_rng([seed % 2**63, len(card)])
        wanted = next((tasks for words, tasks in TASKS_OF.items() if words in task), None)
        if number:
            said = _talk(truth, language, int(number[1]), rng)
        else:
            said = _first(truth, wanted or ONE_ROUND, language, rng)
        turns = [{"question": q.text, "answer": q.answer, "facts": [fact]} for q in said]
        return {"turns": turns, **_details(truth, said)}


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise SystemExit(f"the prompt has changed: there is no {pattern!r} in {text[:200]!r}")
    return found[1]


def _first(
    truth: Truth, tasks: tuple[str, ...], language: str, rng: np.random.Generator
) -> list[questions.Question]:
    """Ask the first of these tasks that suits; the world's caption suits always."""
    for task in (*tasks, *ONE_ROUND):
        for _ in range(4):
            if found := questions.ask(truth, task, language, rng):
                return [found]
    return []


def _talk(truth: Truth, language: str, rounds: int, rng: np.random.Generator) -> list[questions.Question]:
    said: list[questions.Question] = []
    for _ in range(20 * rounds):
        lacks_unanswerable = rounds > 3 and len(said) == rounds - 1
        task = "unanswerable" if lacks_unanswerable else TALK[int(rng.integers(len(TALK)))]
        found = questions.ask(truth, task, language, rng)
        if found and all(found.text != q.text and found.answer != q.answer for q in said):
            said.append(found)
        if len(said) == rounds:
            break
    return said


def _details(truth: Truth, said: list[questions.Question]) -> dict[str, Any]:
    """Give every number that a task may want besides; the others are not looked at."""
    last_s = truth.shots[-1].end_s
    at_s = next((q.at_s for q in said if q.at_s is not None), 0.0)
    return {
        "count": len(truth.objects),
        "start_s": min(at_s, last_s),
        "end_s": min(at_s, last_s),
        "cause_s": 0.0,
        "effect_s": 0.1,
        "action": said[0].answer if said else "",
    }


@contextmanager
def running(writer: Writer) -> Iterator[str]:
    """Run the writer on a free port; give its address."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(writer.app(), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()


def valley(*words: object, ok: tuple[int, ...] = (0,)) -> None:
    """Run a command as a user would."""
    done = subprocess.run([sys.executable, "-m", "valley", *map(str, words)], check=False)
    if done.returncode not in ok:
        raise SystemExit(f"valley {words[0]} ended with {done.returncode}")


def collect(out: Path, num_clips: int) -> None:
    """Make the collection."""
    if not (out / "corpus" / "manifest.parquet").exists():
        told = ["--set", f"num_clips={num_clips}", "--set", f"seed={SEED}", "near_duplicate_distance=null"]
        # scenes in which nothing moves are left out as still pictures: exit code 2
        valley("collect", "synthetic", out / "clips", "-o", out / "corpus", *told, ok=(0, 2))


def write_with_instruct(out: Path, num_clips: int, per_clip: int) -> Path:
    """Have conversations written about the collection."""
    path = out / "written.jsonl"
    truths = (truth_of(scene_number(SEED, n)) for n in range(num_clips))
    with running(Writer({caption(t, lang): t for t in truths for lang in LANGUAGES})) as address:
        valley(
            *("instruct", out / "corpus", "-o", path, "--languages", "en,zh,es", "--per-clip", per_clip),
            *("--tasks", MIX, "--base-url", address, "--model", "world", "--concurrency", 8),
            ok=(0, 2),
        )
    return path


def write_built_in(out: Path, written: Path) -> Path:
    """Make the world's own conversations: one for each written one, as long, in its language, on its clip."""
    path = out / "built-in.jsonl"
    made = []
    for index, given in enumerate(read_jsonl(written)):
        video = given.media[0]
        truth = truth_of(scene_number(SEED, int(Path(str(video.source)).stem)))
        rng = np.random.default_rng([SEED, index])
        asked = _rounds(truth, given.language, len(given.messages) // 2, rng)
        turns = [m for q in asked for m in (user(q.text), assistant(q.answer))]
        turns[0] = user(Video(video.source), asked[0].text)
        made.append(Conversation(tuple(turns), given.language, id=f"b{index}"))
    write_jsonl(path, made)
    return path


def _rounds(truth: Truth, language: str, wanted: int, rng: np.random.Generator) -> list[questions.Question]:
    """Ask as the training stream does: every task once at most, those that tell all last."""
    said: list[questions.Question] = []
    for _ in range(4 * wanted):
        task = questions.VIDEO_TASKS[int(rng.integers(len(questions.VIDEO_TASKS)))]
        found = questions.ask(truth, task, language, rng)
        if found and all(q.task != found.task and q.text != found.text for q in said):
            said.append(found)
        if len(said) == wanted:
            break
    said = said or _first(truth, ONE_ROUND, language, rng)
    return sorted(said, key=lambda q: q.task in ("caption", "description"))


def take_apart(out: Path) -> Path:
    """Save the embedded model's tower, language model and pooling; its projector is left behind."""
    folder = out / "parts"
    if not (folder / "language" / "config.json").exists():
        from go_on import as_causal

        from valley.inference.backends.transformers import TransformersBackend
        from valley.training.handing_on import save_pooling

        backend = TransformersBackend.from_pretrained("valley-mini", device="cpu")
        network: Any = backend.model.model
        network.vision_tower.save_pretrained(folder / "vision")
        as_causal(backend.model).save_pretrained(folder / "language")
        backend.processor.tokenizer.save_pretrained(folder / "language")
        save_pooling(network.temporal_pooling, folder)
    return folder


def train(out: Path, name: str, recipe: str, *settings: str) -> Path:
    """Run one stage; a finished one is not run again."""
    folder = out / name
    if not (folder / "training.json").exists():
        valley("train", RECIPES / recipe, f"out={folder}", *settings)
    return folder


def score(out: Path, name: str, num_clips: int) -> dict[str, Any]:
    """Measure a checkpoint on held-out scenes."""
    path = out / f"{name}.json"
    if not path.exists():
        done = subprocess.run(
            [
                *(sys.executable, "-m", "valley", "eval", "synthetic", "--model", str(out / name), "--json"),
                *("--num-clips", str(num_clips), "--no-controls", "--out", str(out / f"{name}-eval")),
            ],
            check=True,
            stdout=subprocess.PIPE,
        )
        write_whole(path, done.stdout)
    return json.loads(path.read_text(encoding="utf-8"))


def report(out: Path, scores: Mapping[str, Mapping[str, Any]], told: str) -> None:
    """Fill the page."""
    names = list(scores)
    tasks = list(scores[names[0]]["tasks"])
    rows = [["task", *names], ["---", *["---:"] * len(names)]]
    rows += [[t, *(f"{scores[n]['tasks'][t]['score']:.1f}" for n in names)] for t in tasks]
    rows.append(["**all**", *(f"{scores[n]['overall']['score']:.1f}" for n in names)])
    intervals = [scores[n]["overall"]["interval"] for n in names]
    rows.append(["95 %", *(f"{low:.0f}-{high:.0f}" for low, high in intervals)])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    page = HERE / "instruct.md"
    words = page.read_text(encoding="utf-8")
    filled = f"<!-- result -->\n{told}\n\n{table}\n<!-- /result -->"
    text = re.sub(r"<!-- result -->.*<!-- /result -->", lambda _: filled, words, flags=re.DOTALL)
    write_whole(page, text)
    write_whole(out / "result.json", json.dumps(scores, indent=1))
    print(table)


def count_rows(path: Path) -> tuple[int, int, Counter[str]]:
    """Count conversations, turns, and languages."""
    found = list(read_jsonl(path))
    return len(found), sum(len(c.messages) // 2 for c in found), Counter(c.language for c in found)


def main() -> None:
    """Run what is not finished, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/instruct-data"))
    parser.add_argument("--clips", type=int, default=2000, help="scenes to converse about")
    parser.add_argument("--per-clip", type=int, default=4, help="conversations a scene")
    parser.add_argument("--align-steps", type=int, default=120)
    parser.add_argument("--steps", type=int, default=400, help="of stage 2, each way")
    parser.add_argument("--test-clips", type=int, default=100)
    parser.add_argument("--only-data", action="store_true", help="stop before training")
    told = parser.parse_args()
    out = told.out
    out.mkdir(parents=True, exist_ok=True)
    collect(out, told.clips)
    written = write_with_instruct(out, told.clips, told.per_clip)
    built_in = write_built_in(out, written)
    for path in (written, built_in):
        print(path, *count_rows(path))
    if told.only_data:
        return
    parts = take_apart(out)
    settings = [
        f"model.vision_tower={parts / 'vision'}",
        f"model.language_model={parts / 'language'}",
        f"model.temporal_pooling_weights={parts}",
        "model.projector_from_lessons=false",
        f"max_steps={told.align_steps}",
    ]
    aligned = train(out, "align", "mini/align.yaml", *settings)
    scores = {"after stage 1": score(out, "align", told.test_clips)}
    for name, path in (("built-in", built_in), ("written", written)):
        rows = [f"base={aligned}", f"max_steps={told.steps}", f"data=[{{path: {path}}}]"]
        train(out, name, "mini/instruct.yaml", *rows)
        scores[name] = score(out, name, told.test_clips)
    counts = {name: count_rows(path) for name, path in (("built-in", built_in), ("written", written))}
    words = "; ".join(f"{n}: {c} conversations with {t} questions" for n, (c, t, _) in counts.items())
    report(out, scores, f"{told.clips} clips; {words}; {told.steps} steps of stage 2 each.")


if __name__ == "__main__":
    main()
