"""Samples of about the same length meet in a batch: estimated without media, in an order of the seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import padding
import pytest
import torch
from accelerate import Accelerator, DataLoaderConfiguration, skip_first_batches

from valley.conversation import Conversation, Image, Video, assistant, user, write_jsonl
from valley.errors import ConfigError
from valley.training.config import DataSource, MediaSettings, make_config
from valley.training.dataset import TrainingDataset, make_source
from valley.training.length_grouping import GroupedByLength, estimate_lengths
from valley.training.media import MediaTally


@pytest.fixture
def dataset_of(tiny_processor, tmp_path: Path):
    """Make a data set of the file `data.jsonl`, perhaps beside rendered clips."""

    def make(settings: MediaSettings, *more: DataSource, **options) -> TrainingDataset:
        tally = MediaTally(settings)
        described = [DataSource(path=(tmp_path / "data.jsonl",)), *more]
        sources = [
            (
                make_source(
                    d, settings=settings, default_num_frames=4, tally=tally, index_dir=tmp_path / "i"
                ),
                1.0,
            )
            for d in described
        ]
        return TrainingDataset(sources, tiny_processor, **options)

    return make


def test_lengths_are_estimated_closely_and_save_padding(dataset_of, tmp_path: Path) -> None:
    padding.write_samples(tmp_path, 96)
    dataset = dataset_of(MediaSettings())
    estimated = estimate_lengths(dataset, MediaSettings(), default_num_frames=4)
    true = np.array([len(dataset[index]["input_ids"]) for index in range(len(dataset))])
    assert np.abs(estimated / true - 1).mean() < 0.1
    order = GroupedByLength(dataset, estimated.tolist(), group_size=4, seed=0).order(0)
    assert sorted(order.tolist()) == list(range(96))
    random = np.random.default_rng(0).permutation(96)
    assert padding.padding_share(true[order], 4) < 0.5 * padding.padding_share(true[random], 4)


def test_visual_tokens_are_counted_without_opening_a_medium(
    dataset_of, tiny_processor, tmp_path: Path
) -> None:
    media = [Video("none.mp4"), Video("none.mp4", 1.0, 3.0), Image("none.png"), Video("none.mp4", 0.0, 99.0)]
    chats = [Conversation((user(m, "Who?"), assistant("A cook."))) for m in media]
    write_jsonl(tmp_path / "data.jsonl", [*chats, Conversation((user("Who?"), assistant("A cook.")))])

    def visual(**fields) -> list[int]:
        settings = MediaSettings(**fields)
        lengths = estimate_lengths(dataset_of(settings), settings, default_num_frames=4)
        return (lengths[:4] - lengths[4]).tolist()

    of = {n: tiny_processor.num_clip_tokens(np.arange(float(n))) for n in (1, 4, 5, 6, 7)}
    assert visual() == [of[4], of[4], of[1], of[4]]
    assert visual(num_frames=6) == [of[6], of[6], of[1], of[6]]
    assert visual(fps=2.0, num_frames=7) == [of[7], of[5], of[1], of[7]]


def test_rendered_samples_count_alike_and_no_length_exceeds_the_limit(dataset_of, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data.jsonl", [Conversation((user("Who?"), assistant("A cook. " * 90)))])
    rendered = DataSource(synthetic={"kind": "captions", "num_samples": 3, "languages": ["en"]})
    dataset = dataset_of(MediaSettings(), rendered, max_length=100)
    lengths = estimate_lengths(dataset, MediaSettings(), default_num_frames=4)
    assert lengths[0] == 100
    assert len(set(lengths[1:].tolist())) == 1


class Numbers(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Samples that are their numbers."""

    def __len__(self) -> int:
        return 50

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"number": torch.tensor(index)}


def grouped(seed: int = 3) -> GroupedByLength:
    return GroupedByLength(Numbers(), [7 * n % 50 for n in range(50)], group_size=10, seed=seed)


def test_the_order_is_that_of_seed_and_epoch_whatever_was_drawn_before() -> None:
    torch.manual_seed(1)
    wanted = [grouped().order(epoch).tolist() for epoch in range(3)]
    torch.manual_seed(2)
    torch.rand(7)
    again = grouped()
    assert [again.order(epoch).tolist() for epoch in (2, 0, 1)] == [wanted[2], wanted[0], wanted[1]]
    assert wanted[0] != wanted[1]
    assert grouped(seed=4).order(0).tolist() != wanted[0]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_loader_that_goes_on_gives_the_rest_of_the_epoch(num_workers: int) -> None:
    """The trainer's loaders tell the data set its epoch, also behind skipped batches, in other processes."""
    data = grouped()
    loader = torch.utils.data.DataLoader(
        data, batch_size=5, num_workers=num_workers, persistent_workers=num_workers > 0
    )
    prepared = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration()).prepare(loader)
    epochs = [[n for batch in prepared for n in batch["number"].tolist()] for _ in range(2)]
    assert epochs == [data.order(0).tolist(), data.order(1).tolist()]
    rest = skip_first_batches(prepared, 4)
    rest.set_epoch(1)
    assert [n for batch in rest for n in batch["number"].tolist()] == epochs[1][20:]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"packing": True, "group_by_length": True}, "packing leaves no padding"),
        (
            {"group_by_length": True, "trainer": {"train_sampling_strategy": "random"}},
            "leave one of the two out",
        ),
        ({"trainer": {"train_sampling_strategy": "group_by_length"}}, "write group_by_length: true"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields: dict, words: str) -> None:
    known = {"stage": "align", "model": {"checkpoint": "m"}, "data": {"path": "a"}, "output_dir": "out"}
    with pytest.raises(ConfigError, match=words):
        make_config(known | fields)
