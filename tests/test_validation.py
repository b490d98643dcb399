"""What `fit` measures: dry runs that can be evaluated, classification by all heads, people of several domains kept apart."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from passerby.errors import DataError
from passerby.models import Outputs
from passerby.records import Record, ReidData, Split
from passerby.transforms import Preprocess
from passerby.validation import ClassificationEvaluation, Evaluations, RetrievalEvaluation, predicted, with_a_match

INPUT = Preprocess(size=(8, 4))


class MeanColour(nn.Module):
    """Embeds an image as its mean colour; its two heads say which channel is the strongest, and the second is surer."""

    embedding_dim, feature_dim, input_size = 3, 3, (8, 4)

    def forward(self, x: Tensor) -> Outputs:
        colour = x.mean(dim=(2, 3))
        return Outputs(colour, colour, (colour, 3 * colour))


def write(folder: Path, pid: int, camera: int, domain: str, colour: tuple[int, int, int]) -> Record:
    path = folder / f"{domain}_{pid}_{camera}_{len(list(folder.iterdir()))}.png"
    Image.new("RGB", (4, 8), colour).save(path)
    return Record(path, pid, camera, domain)


@pytest.fixture
def people(tmp_path: Path) -> dict[str, Split]:
    colours = {1: (250, 20, 20), 2: (20, 250, 20), 3: (20, 20, 250)}
    splits = {"query": [], "gallery": []}
    for domain in ("x", "y"):
        for pid, colour in colours.items():
            splits["query"].append(write(tmp_path, pid, 0, domain, colour))
            splits["gallery"].append(write(tmp_path, pid, 1, domain, colour))
    return {name: Split(tuple(records)) for name, records in splits.items()}


def test_a_dry_run_takes_queries_with_their_matches(people: dict[str, Split]):
    data = ReidData("both", query=people["query"], gallery=people["gallery"])
    query, gallery = with_a_match(data, 2)
    assert len(query) == 2 and len(gallery) == 2
    assert [record.pid for record in query] == [record.pid for record in gallery]
    assert all(q.camera != g.camera for q, g in zip(query, gallery, strict=True))


def test_data_that_can_give_no_number_is_refused_before_training(people: dict[str, Split]):
    data = ReidData("one", query=people["query"], gallery=people["query"])
    with pytest.raises(DataError, match=r"one: none of the 6 queries has an image of its person from another camera"):
        with_a_match(data, 10)


def test_people_of_two_domains_are_not_mixed_up(people: dict[str, Split]):
    data = ReidData("one", query=people["query"].where(lambda r: r.domain == "x"), gallery=people["gallery"])
    evaluation = RetrievalEvaluation(MeanColour, data, INPUT)
    found = evaluation()
    # Each query has one right answer and, in the other domain, somebody in exactly the same clothes: a tie, against the query.
    assert found["rank1"] == 0 and found["rank5"] == 1 and found["map"] == pytest.approx(0.5)
    assert set(evaluation(1)) == set(found)


def test_the_error_is_that_of_all_heads_together(people: dict[str, Split]):
    split, labels = people["query"], {(domain, pid): pid - 1 for domain in "xy" for pid in (1, 2, 3)}
    right = ClassificationEvaluation(MeanColour, split, labels, INPUT, batch_size=4)
    assert right()["val_error"] == 0
    turned = {person: (label + 1) % 3 for person, label in labels.items()}
    assert ClassificationEvaluation(MeanColour, split, turned, INPUT, batch_size=4)()["val_error"] == 1
    assert right(1)["val_error"] == 0  # a dry run measures one batch
    assert right()["val_loss"] < ClassificationEvaluation(MeanColour, split, turned, INPUT)()["val_loss"]


def test_probabilities_are_summed_over_heads():
    # Head 1 prefers class 0 slightly, head 2 class 1 clearly: logits alone would be summed to class 0.
    logits = (torch.tensor([[0.1, 0.0]]), torch.tensor([[0.0, 2.0]]))
    slow = np.exp(np.array([[0.1, 0.0], [0.0, 2.0]]))
    slow = (slow / slow.sum(axis=1, keepdims=True)).sum(axis=0).argmax()
    assert predicted(logits).tolist() == [slow]
    sure = (torch.tensor([[10.0, 0.0]]), torch.tensor([[0.0, 0.4]]), torch.tensor([[0.0, 0.4]]))
    assert predicted(sure).tolist() == [0]


def test_measurements_are_put_together():
    both = Evaluations((lambda max_batches=None: {"a": 1.0}, lambda max_batches=None: {"b": float(max_batches or 0)}))
    assert both() == {"a": 1.0, "b": 0.0} and both(2) == {"a": 1.0, "b": 2.0}
