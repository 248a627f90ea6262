"""Answers made together are those made one by one, whoever joins or leaves in the middle."""

import gc
import itertools
import subprocess
import sys
import threading
import weakref
from contextlib import closing

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    Lfm2Config,
    Lfm2ForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from valley.conversation import Conversation, Image, Text, Video, assistant, user
from valley.errors import BackendError, ConfigError
from valley.inference.backend import GenerationParams, KeepsWork
from valley.inference.backends import _engine as engine_module
from valley.inference.backends._rows_cache import RowsCache, RowsLayer, can_be_batched
from valley.inference.backends.transformers import TransformersBackend
from valley.model.composing_valley import compose


def talks(clip_files):
    """Conversations of all kinds: one clip, two, a picture, words alone, short and long, several turns."""
    a, b, photo = (str(clip_files / name) for name in ("a.mp4", "b.mp4", "photo.png"))
    return [
        Conversation((user(Video(a), "Which way does it move?"),)),
        Conversation((user("Hello"),)),
        Conversation((user(Image(photo), "What is this? " * 9),)),
        Conversation(
            (user(Video(b, start_s=1.0), Image(photo), "And now?"), assistant("Right."), user("Why?"))
        ),
        Conversation((user(Video(a), Video(b), "Which is quicker?"),)),
        Conversation((user("Tell me of the red circle. " * 20),)),
        Conversation((user(Video(a), "Which way does it move?"),)),
    ]


def ask(backend, conversation, **params):
    with closing(
        backend.stream(conversation, GenerationParams(**{"max_new_tokens": 24, **params}))
    ) as pieces:
        return "".join(p.text for p in pieces)


def run_all(jobs):
    """Run every job in a thread of its own; give results or errors, in order."""
    got = {}

    def run(number):
        try:
            got[number] = jobs[number]()
        except BackendError as error:
            got[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    return [got[n] for n in range(len(jobs))]


def ask_together(backend, asked, **params):
    return run_all(
        [
            lambda c=c, n=n: ask(backend, c, **{"max_new_tokens": 8 + 7 * n, **params})
            for n, c in enumerate(asked)
        ]
    )


def one_by_one(model, processor, asked, **params):
    answers = []
    for n, conversation in enumerate(asked):
        alone = TransformersBackend(model, processor, cache_bytes=0, max_batch_size=1)
        answers.append(ask(alone, conversation, **{"max_new_tokens": 8 + 7 * n, **params}))
    return answers


class Passes:
    """Sees how many rows and columns every pass of the language model has."""

    def __init__(self, model):
        self.shapes = []
        self.hook = model.model.language_model.register_forward_hook(self.see, with_kwargs=True)

    def see(self, module, arguments, keywords, output):
        self.shapes.append(tuple(keywords["inputs_embeds"].shape[:2]))


@pytest.fixture
def passes(tiny_model):
    seen = Passes(tiny_model)
    yield seen.shapes
    seen.hook.remove()


SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "max_position_embeddings": 2048,
    "bos_token_id": None,
    "eos_token_id": 0,
    "sliding_window": 24,
}


def mistral(vocab_size):
    torch.manual_seed(3)
    return MistralForCausalLM(
        MistralConfig(vocab_size=vocab_size, num_hidden_layers=2, tie_word_embeddings=False, **SIZES)
    )


def gemma(vocab_size):
    torch.manual_seed(3)
    kinds = ["sliding_attention", "full_attention"] * 2
    config = Gemma3TextConfig(
        vocab_size=vocab_size, num_hidden_layers=4, head_dim=16, layer_types=kinds, pad_token_id=0, **SIZES
    )
    return Gemma3ForCausalLM(config)


def convolutions(vocab_size):
    """Every other layer has a state that no padding fits."""
    torch.manual_seed(3)
    sizes = {name: value for name, value in SIZES.items() if name != "sliding_window"}
    kinds = ["conv", "full_attention"] * 2
    config = Lfm2Config(
        vocab_size=vocab_size, num_hidden_layers=4, layer_types=kinds, pad_token_id=0, **sizes
    )
    return Lfm2ForCausalLM(config)


LLMS = {"mistral": mistral, "gemma": gemma, "convolutions": convolutions}


def composed(parts, kind):
    tokenizer = parts.tokenizer()
    made = {"llama": parts.llm, **LLMS}[kind](len(tokenizer))
    model, processor = compose(parts.tower(), made, tokenizer)
    model.generation_config.eos_token_id = None
    return model.eval(), processor


@pytest.mark.parametrize("kind", ["llama", "mistral", "gemma"])
def test_together_as_one_by_one(tiny_parts, clip_files, kind):
    """Full attention, a sliding window in every layer, both kinds in turn; windows shorter than prompts."""
    model, processor = composed(tiny_parts, kind)
    asked = talks(clip_files)
    wanted = one_by_one(model, processor, asked)
    assert len(set(wanted)) > 4
    backend = TransformersBackend(model, processor)
    assert backend.capabilities.max_concurrency == 16
    seen = Passes(model)
    for _ in range(2):  # the second time with keys and values of the first
        assert ask_together(backend, asked) == wanted
    seen.hook.remove()
    assert max(rows for rows, _ in seen.shapes) > 4


def test_the_window_is_the_models_own(tiny_parts, clip_files):
    """The batch's own cache gives what transformers' cache gives in `generate`."""
    model, processor = composed(tiny_parts, "mistral")
    conversation = talks(clip_files)[2]
    inputs = processor.apply_chat_template(
        conversation, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    assert inputs["input_ids"].shape[1] > 24
    ids = model.generate(**inputs, do_sample=False, max_new_tokens=30)
    wanted = processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    backend = TransformersBackend(model, processor)
    assert ask(backend, conversation, max_new_tokens=30) == wanted.rstrip("\ufffd")


def test_a_cache_that_cannot_be_padded_answers_one_after_the_other(tiny_parts, clip_files):
    model, processor = composed(tiny_parts, "convolutions")
    asked = talks(clip_files)
    wanted = one_by_one(model, processor, asked)
    backend = TransformersBackend(model, processor)
    assert backend.capabilities.max_concurrency == 1
    seen = Passes(model)
    assert ask_together(backend, asked) == wanted
    seen.hook.remove()
    assert {rows for rows, _ in seen.shapes} == {1}
    assert backend.cache_stats().prefixes.num_bytes > 0


@pytest.mark.slow
def test_the_embedded_model_answers_many_at_once(clip_files):
    backend = TransformersBackend.from_pretrained("valley-mini", device="cpu")
    asked = talks(clip_files)
    wanted = one_by_one(backend.model, backend.processor, asked)
    assert ask_together(backend, asked) == wanted


def test_rows_join_in_the_middle(tiny_model, tiny_processor, clip_files, passes):
    asked = talks(clip_files)[:4]
    wanted = [one_by_one(tiny_model, tiny_processor, [c], max_new_tokens=60)[0] for c in asked]
    backend = TransformersBackend(tiny_model, tiny_processor)
    streams, got = [], []
    for conversation in asked:  # each begins when the one before has said something
        streams.append(backend.stream(conversation, GenerationParams(max_new_tokens=60)))
        got.append(next(streams[-1]).text)
    for number, stream in enumerate(streams):
        got[number] += "".join(p.text for p in stream)
    assert got == wanted


def test_rows_leave_in_the_middle(tiny_model, tiny_processor, clip_files):
    asked = talks(clip_files)
    wanted = one_by_one(tiny_model, tiny_processor, asked, max_new_tokens=50)
    backend = TransformersBackend(tiny_model, tiny_processor)

    def leave(number):
        stream = backend.stream(asked[number], GenerationParams(max_new_tokens=1000))
        words = [next(stream).text for _ in range(number)]
        stream.close()
        return "".join(words)

    stays, leaves = (0, 2, 4, 6), (1, 3, 5)
    jobs = [lambda n=n: ask(backend, asked[n], max_new_tokens=50) for n in stays]
    got = run_all(jobs + [lambda n=n: leave(n) for n in leaves])
    assert got[: len(stays)] == [wanted[n] for n in stays]
    assert all(wanted[n].startswith(words) for n, words in zip(leaves, got[len(stays) :], strict=True))


def test_every_row_has_its_own_draw_and_stop(tiny_model, tiny_processor, clip_files):
    conversation = talks(clip_files)[0]
    whole = one_by_one(tiny_model, tiny_processor, [conversation], max_new_tokens=24)[0]
    wishes = [
        {"temperature": 1.5, "seed": 1},
        {"temperature": 1.5, "seed": 2, "top_p": 0.7},
        {"stop": (whole[4:6],)},
        {"max_new_tokens": 3},
        {},
    ]
    alone = [
        one_by_one(tiny_model, tiny_processor, [conversation], **{"max_new_tokens": 24, **w})[0]
        for w in wishes
    ]
    backend = TransformersBackend(tiny_model, tiny_processor)
    assert run_all([lambda w=w: ask(backend, conversation, **w) for w in wishes]) == alone
    assert len(set(alone)) == 5


def test_media_that_wait_are_seen_together(tiny_model, tiny_processor, clip_files):
    """While the engine is held, four rows come to wait; their three media go through the tower at once."""
    backend = TransformersBackend(tiny_model, tiny_processor)
    frames = []
    hook = tiny_model.model.vision_tower.register_forward_hook(lambda m, a, out: frames.append(len(a[0])))
    asked = [talks(clip_files)[n] for n in (0, 2, 6)]
    try:
        with held(backend, waiting=3):
            jobs = threading.Thread(target=lambda: frames.extend(ask_together(backend, asked)))
            jobs.start()
        jobs.join(60)
    finally:
        hook.remove()
    assert frames[:-3] == [9]  # eight frames of one clip, asked about twice, and a picture


class held:  # noqa: N801 - reads as a phrase
    """Hold the engine back until so many rows wait for it."""

    def __init__(self, backend, waiting):
        self.engine, self.waiting = backend._engine, waiting

    def __enter__(self):
        self.take_in = self.engine._take_in
        self.arrived = threading.Event()
        self.engine._take_in = self.wait

    def wait(self):
        for _ in range(6000):
            if len(self.engine._waiting) >= self.waiting:
                break
            self.arrived.wait(0.01)
        self.engine._take_in = self.take_in
        self.take_in()

    def __exit__(self, *_):
        pass


def test_a_long_prompt_comes_in_pieces_while_others_run(tiny_model, tiny_processor, passes, monkeypatch):
    monkeypatch.setattr(engine_module, "MAX_PREFILL_TOKENS", 32)
    long = Conversation((user("Tell me of the red circle. " * 30),))
    short = Conversation((user("Hello"),))
    wanted = one_by_one(tiny_model, tiny_processor, [long], max_new_tokens=10)[0]
    passes.clear()
    backend = TransformersBackend(tiny_model, tiny_processor)
    stream = backend.stream(short, GenerationParams(max_new_tokens=400))
    next(stream)
    assert ask(backend, long, max_new_tokens=10) == wanted
    stream.close()
    behind_first = passes[1:]
    assert max(columns for _, columns in behind_first) == 32
    pieces = [n for n, (_, columns) in enumerate(behind_first) if columns == 32]
    assert len(pieces) > 5
    assert all(later - earlier == 2 for earlier, later in itertools.pairwise(pieces))  # a step between


def test_more_than_fit_wait_their_turn(tiny_model, tiny_processor, clip_files, passes):
    backend = TransformersBackend(tiny_model, tiny_processor, max_batch_size=2)
    asked = talks(clip_files)
    wanted = one_by_one(tiny_model, tiny_processor, asked)
    assert ask_together(backend, asked) == wanted
    assert max(rows for rows, _ in passes) == 2
    with pytest.raises(ConfigError, match="max_batch_size"):
        TransformersBackend(tiny_model, tiny_processor, max_batch_size=0)


def test_a_second_question_computes_only_what_is_new(tiny_model, tiny_processor, clip_files):
    backend = TransformersBackend(tiny_model, tiny_processor)
    assert isinstance(backend, KeepsWork)
    video = Video(str(clip_files / "a.mp4"))
    finishes = []
    for question in ("Which way?", "What colour is it?"):
        *_, last = backend.stream(Conversation((user(video, question),)), GenerationParams(max_new_tokens=4))
        finishes.append(last.finish)
    assert finishes[0].usage.cached == 0
    assert finishes[1].usage.visual < finishes[1].usage.cached < finishes[1].usage.prompt
    stats = backend.cache_stats()
    assert (stats.frames.hits, stats.frames.misses) == (1, 1)
    assert (stats.features.hits, stats.features.misses) == (0, 1)  # the second question did not need them
    assert (stats.prefixes.hits, stats.prefixes.misses) == (1, 1)
    assert all(use.num_bytes > 0 for use in (stats.frames, stats.features, stats.prefixes))


def test_several_conversations_are_kept(tiny_model, tiny_processor, clip_files):
    """Two chats in turn: each finds its own keys and values again."""
    backend = TransformersBackend(tiny_model, tiny_processor)
    chats = [[user(Video(str(clip_files / name)), "Which way?")] for name in ("a.mp4", "b.mp4")]
    for _ in range(3):
        for turns in chats:
            *pieces, last = backend.stream(Conversation(tuple(turns)), GenerationParams(max_new_tokens=4))
            words = "".join(p.text for p in (*pieces, last))
            assert last.finish is not None
            if len(turns) > 1:
                assert last.finish.usage.cached > last.finish.usage.visual
            turns += [assistant(words or "Yes."), user(Text("Why?"))]
    assert backend.cache_stats().prefixes.hits >= 4


@pytest.mark.parametrize("kind", ["a clip", "words"])
def test_nothing_is_shared_between_scopes(tiny_model, tiny_processor, clip_files, kind):
    backend = TransformersBackend(tiny_model, tiny_processor)
    asked = talks(clip_files)[0 if kind == "a clip" else 5]
    for scope in ("one key", "another key"):
        params = GenerationParams(max_new_tokens=4, cache_scope=scope)
        *_, last = backend.stream(asked, params)
        assert last.finish is not None
        assert last.finish.usage.cached == 0
    stats = backend.cache_stats()
    assert [use.hits for use in (stats.frames, stats.features, stats.prefixes)] == [0, 0, 0]
    *_, last = backend.stream(asked, params)
    assert last.finish.usage.cached > 0


def test_the_memory_of_kept_work_is_bounded(tiny_model, tiny_processor, clip_files):
    bound = 150_000
    backend = TransformersBackend(tiny_model, tiny_processor, cache_bytes=bound)
    asked = talks(clip_files)
    wanted = one_by_one(tiny_model, tiny_processor, asked)
    for _ in range(2):
        assert ask_together(backend, asked) == wanted
        stats = backend.cache_stats()
        assert 0 < sum(use.num_bytes for use in (stats.frames, stats.features, stats.prefixes)) <= bound


class ShortOfMemory:
    """A network that runs out of memory when a pass has more columns, or rows, than it may."""

    def __init__(self, model, *, max_rows=99, max_columns=9999):
        self.max_rows, self.max_columns, self.times = max_rows, max_columns, 0
        layer = model.model.language_model.layers[1]  # behind the first, whose cache has already grown
        self.hook = layer.register_forward_pre_hook(self.check)

    def check(self, module, arguments):
        rows, columns = arguments[0].shape[:2]
        if rows > self.max_rows or columns > self.max_columns:
            self.times += 1
            raise torch.OutOfMemoryError("no memory")


@pytest.mark.parametrize("limit", [{"max_rows": 1}, {"max_rows": 2}])
def test_where_memory_is_short_fewer_run_at_once(tiny_model, tiny_processor, clip_files, limit):
    asked = talks(clip_files)
    wanted = one_by_one(tiny_model, tiny_processor, asked)
    backend = TransformersBackend(tiny_model, tiny_processor)
    short = ShortOfMemory(tiny_model, **limit)
    try:
        got = ask_together(backend, asked)
    finally:
        short.hook.remove()
    assert short.times > 0
    # Who runs already when memory runs out is given up, one a time; nobody gets wrong words.
    failed = [g for g in got if isinstance(g, BackendError)]
    assert all("out of memory" in str(g) for g in failed)
    assert all(isinstance(g, BackendError) or g == w for g, w in zip(got, wanted, strict=True))
    assert len(failed) < len(asked)
    assert ask_together(backend, asked) == wanted


def test_a_prompt_too_large_for_the_memory_is_an_error_of_its_own(tiny_model, tiny_processor, clip_files):
    asked = talks(clip_files)
    backend = TransformersBackend(tiny_model, tiny_processor)
    wanted = one_by_one(tiny_model, tiny_processor, asked)
    short = ShortOfMemory(tiny_model, max_columns=150)
    try:
        got = ask_together(backend, asked)
    finally:
        short.hook.remove()
    assert isinstance(got[5], BackendError)
    assert "ask for a shorter answer" in str(got[5])
    assert [g for n, g in enumerate(got) if n != 5] == [w for n, w in enumerate(wanted) if n != 5]


def test_an_unforeseen_error_reaches_the_stream_and_the_engine_goes_on(tiny_model, tiny_processor):
    backend = TransformersBackend(tiny_model, tiny_processor)
    conversation = Conversation((user("Hello"),))
    wanted = ask(backend, conversation)

    def break_down(*_):
        raise ValueError("a fault of the network")

    hook = tiny_model.lm_head.register_forward_hook(break_down)
    with pytest.raises(ValueError, match="a fault"):
        ask(backend, conversation)
    hook.remove()
    assert ask(backend, conversation) == wanted


def test_close_ends_what_runs(tiny_model, tiny_processor):
    backend = TransformersBackend(tiny_model, tiny_processor)
    conversation = Conversation((user("Hello"),))
    stream = backend.stream(conversation, GenerationParams(max_new_tokens=2000))
    next(stream)
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        list(stream)
    assert not [t for t in threading.enumerate() if t.name == "valley-engine"]
    with pytest.raises(BackendError, match="closed"):
        ask(backend, conversation)
    backend.close()
    assert backend.cache_stats().prefixes.num_bytes == 0


def test_nothing_is_left_when_the_backend_goes(tiny_model, tiny_processor):
    backend = TransformersBackend(tiny_model, tiny_processor)
    ask(backend, Conversation((user("Hello"),)))
    gone = weakref.ref(backend._engine)
    for thread in [t for t in threading.enumerate() if t.name == "valley-engine"]:
        thread.join(20)
    del backend
    gc.collect()
    assert gone() is None


LEAVES = """
import sys
from valley import Valley
valley = Valley.from_pretrained(sys.argv[1], device="cpu")
valley.backend._stop_ids = frozenset()
stream = valley.stream("Hello", max_new_tokens=1000000)
print(next(stream))
"""


@pytest.mark.slow
def test_a_program_may_end_in_the_middle(tiny_parts, tmp_path):
    """Nobody closes anything, and the answer would go on for hours: the interpreter ends all the same."""
    tokenizer = tiny_parts.tokenizer()
    llm = tiny_parts.llm(len(tokenizer), max_position_embeddings=10**7)
    for part in compose(tiny_parts.tower(), llm, tokenizer):
        part.save_pretrained(tmp_path)
    command = [sys.executable, "-c", LEAVES, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()


def test_which_caches_can_be_padded(tiny_parts):
    from transformers import JambaConfig, MambaConfig

    assert can_be_batched(tiny_parts.llm(400).config)
    assert can_be_batched(mistral(400).config)
    assert not can_be_batched(MambaConfig(num_hidden_layers=2))
    assert not can_be_batched(JambaConfig(num_hidden_layers=4, attn_layer_period=2, attn_layer_offset=1))


def test_columns_move_only_when_there_is_no_room(tiny_model):
    cache = RowsCache(tiny_model.config)
    cache.fill([None, None], [0, 0])
    layers = [layer for layer in cache.layers if isinstance(layer, RowsLayer)]
    new = torch.arange(2 * 2 * 1 * 16.0).view(2, 2, 1, 16)
    where = set()
    for step in range(1, 130):
        cache.begin()
        for layer in layers:
            keys, _ = layer.update(new + step, new)
            assert keys.shape == (2, 2, step, 16)
            assert torch.equal(keys[:, :, -1:], new + step)
            assert torch.equal(keys[:, :, :1], new + 1)
        cache.advanced([step, step])
        where.add(layers[0].buffers[0].data_ptr())
    assert len(where) <= 3
