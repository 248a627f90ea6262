"""The transformers backend equals `generate`, and a second question costs no second vision pass."""

import pytest
import torch

import valley.inference.media as media_module
from valley import Image, Valley, Video
from valley.conversation import Conversation, assistant, user
from valley.errors import BackendError, ConfigError
from valley.inference.backend import GenerationParams
from valley.inference.backends._next_token import NextToken
from valley.inference.backends.transformers import TransformersBackend
from valley.video.sampling import FrameSampling


@pytest.fixture
def valley(tiny_model, tiny_processor):
    return Valley(TransformersBackend(tiny_model, tiny_processor, name="tiny"))


@pytest.fixture
def passes(tiny_model):
    """Count passes: frames the tower sees, positions the language model computes."""
    seen = {"tower": 0, "language_model": 0}

    def tower(module, arguments, keywords, output):
        seen["tower"] += 1

    def language_model(module, arguments, keywords, output):
        seen["language_model"] += keywords["inputs_embeds"].shape[1]

    hooks = [
        tiny_model.model.vision_tower.register_forward_hook(tower, with_kwargs=True),
        tiny_model.model.language_model.register_forward_hook(language_model, with_kwargs=True),
    ]
    yield seen
    for hook in hooks:
        hook.remove()


def generated(model, processor, conversation, **options):
    inputs = processor.apply_chat_template(
        conversation, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    ids = model.generate(**inputs, do_sample=False, **options)
    return processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("pooling", ["mean", "chunk"])
def test_the_words_are_those_of_generate(compose_tiny, clip_files, pooling):
    model, processor = compose_tiny(temporal_pooling=pooling)
    valley = Valley(TransformersBackend(model, processor))
    conversation = Conversation(
        (
            user(Video(str(clip_files / "a.mp4")), "What is <video> here? <|end|>"),
            assistant("A square."),
            user(Image(str(clip_files / "photo.png")), "And?"),
        )
    )
    wanted = generated(model, processor, conversation, max_new_tokens=16)
    assert valley.answer(conversation, max_new_tokens=16).answer == wanted.rstrip("\ufffd")


def test_a_second_question_runs_no_vision_and_reuses_the_keys(valley, passes, clip_files, monkeypatch):
    video = Video(str(clip_files / "a.mp4"))
    chat = valley.chat(video, max_new_tokens=8)
    list(chat.ask("Which way does it move?"))
    assert passes["tower"] == 1
    before = passes["language_model"]

    def refuse(*_, **__):
        raise AssertionError("the file is decoded again")

    monkeypatch.setattr(media_module, "read_frames", refuse)
    list(chat.ask("And what colour is it?"))
    assert passes["tower"] == 1
    assert chat.last is not None
    # Only the new words and the new answer are computed, not the prompt with its visual tokens.
    assert passes["language_model"] - before < chat.last.usage.prompt - chat.last.usage.visual
    list(valley.chat(video, system="Another beginning.", max_new_tokens=2).ask("What?"))
    assert passes["tower"] == 1


def test_reuse_changes_no_word(valley, tiny_model, tiny_processor, clip_files):
    video = Video(str(clip_files / "a.mp4"))
    chat = valley.chat(video, max_new_tokens=12)
    for question in ("Which way?", "What colour?", "Is it a circle?"):
        turns = [*chat.turns, user(*chat.pending, question)]
        fresh = Valley(TransformersBackend(tiny_model, tiny_processor))
        wanted = fresh.answer(Conversation(tuple(turns)), max_new_tokens=12).answer
        assert "".join(chat.ask(question)) == wanted


def test_another_clip_of_the_same_length_is_not_confused(
    valley, tiny_model, tiny_processor, clip_files, passes
):
    """Both prompts have the same token ids: only the media differ."""
    clips = [Video(str(clip_files / name)) for name in ("a.mp4", "b.mp4")]
    fresh = [
        Valley(TransformersBackend(tiny_model, tiny_processor)).answer([c, "What?"], max_new_tokens=12).answer
        for c in clips
    ]
    assert passes["tower"] == 2
    assert [valley.answer([c, "What?"], max_new_tokens=12).answer for c in clips] == fresh
    assert passes["tower"] == 4
    assert valley.answer([clips[0], "What?"], max_new_tokens=12).answer == fresh[0]
    assert passes["tower"] == 4


def test_forget(valley, passes, clip_files):
    for _ in range(2):
        valley.answer([Video(str(clip_files / "a.mp4")), "What?"], max_new_tokens=1)
        valley.backend.forget()
    assert passes["tower"] == 2


def test_an_interrupted_answer_leaves_a_sound_state(valley, clip_files):
    question = [Video(str(clip_files / "a.mp4")), "What?"]
    whole = valley.answer(question, max_new_tokens=10).answer
    for stop_after in (1, 3):
        words = valley.stream(question, max_new_tokens=10)
        for _ in range(stop_after):
            next(words)
        words.close()
        assert valley.answer(question, max_new_tokens=10).answer == whole


def test_the_prompt_must_fit(compose_tiny, tiny_parts, clip_files):
    model, processor = compose_tiny()
    model.config.text_config.max_position_embeddings = 45
    valley = Valley(TransformersBackend(model, processor))
    video = Video(str(clip_files / "a.mp4"))
    with pytest.raises(BackendError, match="try --num-frames"):
        valley.answer([video, "What?"], num_frames=24)
    answer = valley.answer([video, "What?"], num_frames=2, max_new_tokens=1000)
    assert answer.usage.prompt + answer.usage.completion <= 45


def test_the_end_token_ends(tiny_model, tiny_processor):
    backend = TransformersBackend(tiny_model, tiny_processor)
    end = torch.zeros(tiny_model.lm_head.out_features)
    end[tiny_processor.tokenizer.eos_token_id] = 1e9
    hook = tiny_model.lm_head.register_forward_hook(lambda module, arguments, output: output + end)
    answer = Valley(backend).answer("Hello")
    hook.remove()
    assert (answer.answer, answer.finish_reason, answer.usage.completion) == ("", "stop", 1)


def test_an_answer_language_is_asked_for_by_the_template(valley, tiny_processor, passes):
    plain, spanish = (valley.answer("Hello", language=tag, max_new_tokens=1) for tag in (None, "es"))
    assert spanish.usage.prompt > plain.usage.prompt
    rendered = tiny_processor.apply_chat_template(
        Conversation((user("Hello"),)), add_generation_prompt=True, answer_language="es-MX"
    )
    assert "Responde en español." in rendered


def test_what_is_no_checkpoint_is_told_in_one_sentence(tiny_checkpoint, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ConfigError, match=r"want a Valley checkpoint.*got a model of type 'llama'"):
        Valley.from_pretrained(str(tmp_path))
    for name, value in (("dtype", "int3"), ("device", "abacus"), ("device", "cuda:63"), ("device", "meta")):
        with pytest.raises(ConfigError, match=value):
            Valley.from_pretrained(str(tiny_checkpoint), **{name: value})
    for file in tiny_checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(b"" if file.suffix == ".safetensors" else file.read_bytes())
    with pytest.raises(ConfigError, match=tmp_path.name):
        Valley.from_pretrained(str(tmp_path))


def test_half_precision_answers(tiny_checkpoint, clip_files):
    valley = Valley.from_pretrained(str(tiny_checkpoint), dtype=torch.bfloat16, device="cpu")
    assert valley.answer([Video(str(clip_files / "a.mp4")), "What?"], max_new_tokens=3).usage.completion == 3


def test_the_checkpoints_own_frames_are_the_default(valley, tiny_processor):
    assert valley.backend.capabilities.default_sampling == FrameSampling(**tiny_processor.sampling)


def test_drawing_keeps_to_the_nucleus():
    logits = torch.tensor([0.0, 5.0, 4.0, -3.0])
    greedy = NextToken(GenerationParams(temperature=0.0))
    assert greedy(logits) == 1
    narrow = NextToken(GenerationParams(temperature=1.0, top_p=0.5, seed=0))
    assert {narrow(logits) for _ in range(50)} == {1}
    wide = NextToken(GenerationParams(temperature=1.0, top_p=0.99, seed=0))
    assert {wide(logits) for _ in range(200)} == {1, 2}
    cold = NextToken(GenerationParams(temperature=1e-6, seed=0))
    assert {cold(logits) for _ in range(20)} == {1}
