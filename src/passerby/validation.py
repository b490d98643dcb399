"""What a recipe lets `fit` measure: retrieval on query and gallery, and classification of held-out training images.

It measures and logs; it never chooses. With several processes each embeds its share of the images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from passerby.batches import EvalLoader, Transform
from passerby.embedder import Embedder, EmbeddingRule, Numbering, embed, embedder_for
from passerby.embedder.camera_statistics import Estimation, with_data_statistics
from passerby.embeddings import Embeddings
from passerby.errors import DataError
from passerby.losses import cross_entropy
from passerby.metrics import MARKET1501, Convention, RetrievalScores, evaluate
from passerby.points import CloudPreprocess, EvalClouds
from passerby.records import ReidData, Split
from passerby.training import Evaluate
from passerby.training.distributed import everyone, share_buffers, world
from passerby.transforms import EvalTransform, Preprocess, normalise

__all__ = ["ClassificationEvaluation", "Evaluations", "RetrievalEvaluation", "predicted", "with_a_match"]


def with_a_match(data: ReidData, limit: int, convention: Convention = MARKET1501) -> tuple[Split, Split]:
    """A small query and gallery in which queries have their matches, for a dry evaluation.

    Args:
        data: a data set with query and gallery.
        limit: at most so many records in each.
        convention: whether images of the query's own camera count.

    Raises:
        DataError: no query has an image of its person from another camera in the gallery: no number could be made.
    """
    seen_by: dict[tuple[str, int], list[int]] = {}
    for position, record in enumerate(data.gallery):
        seen_by.setdefault((record.domain, record.pid), []).append(position)
    queries, matches = [], []
    for record in data.query:
        same = [p for p in seen_by.get((record.domain, record.pid), []) if data.gallery[p].path != record.path]
        own = same if convention.same_camera == "keep" else [p for p in same if data.gallery[p].camera != record.camera]
        if own:
            queries.append(record)
            matches.append(data.gallery[own[0]])
        if len(queries) == limit:
            break
    if not queries:
        raise DataError(
            f"{data.name}: none of the {len(data.query)} queries has an image of its person from another camera in the gallery "
            f"({len(data.gallery)} images), so no number can be made. Try: passerby data check PATH"
        )
    return Split(tuple(queries)), Split(tuple(dict.fromkeys(matches)))


@dataclass
class RetrievalEvaluation:
    """Embeds query and gallery with the present weights and ranks them; `fit` calls it.

    Attributes:
        model: gives the network to measure; called at each evaluation, because an average replaces the network late in a run.
        data: what is measured on.
        preprocess: the network's input.
        rule: how outputs become vectors.
        convention: how the ranking is counted.
        device: where the network runs.
        batch_size: images a forward pass.
        cameras: how to estimate the statistics of cameras, query and gallery separately, for networks with camera-wise batch
            norm; None for others.
    """

    model: Callable[[], nn.Module]
    data: ReidData
    preprocess: Preprocess | CloudPreprocess
    rule: EmbeddingRule = field(default_factory=EmbeddingRule)
    convention: Convention = MARKET1501
    device: torch.device | str = "cpu"
    batch_size: int = 64
    cameras: Estimation | None = None

    def __call__(self, max_batches: int | None = None) -> dict[str, float]:
        """Rank-1, 5, 10, mAP and mINP as fractions; with `max_batches` of a few queries and their matches only."""
        if max_batches is None:
            query, gallery = self.data.query, self.data.gallery
        else:
            query, gallery = with_a_match(self.data, max_batches * self.batch_size, self.convention)
        scores = self.scores(query, gallery)
        return {
            "rank1": scores.rank(1),
            "rank5": scores.rank(5),
            "rank10": scores.rank(10),
            "map": scores.map,
            "minp": scores.minp,
        }

    def scores(self, query: Split, gallery: Split) -> RetrievalScores:
        """Everything that the evaluator says about a query and a gallery."""
        model = self.model()
        share_buffers(model)  # each process's batch norms have seen its own share only
        embedder = embedder_for(self.preprocess)(
            model, self.preprocess, self.rule, device=self.device, batch_size=self.batch_size
        )
        numbering, splits = Numbering.of(query, gallery), {"query": query, "gallery": gallery}
        ready = dict.fromkeys(splits, embedder)
        if self.cameras is not None:  # every process estimates all of them, alike, from all images
            ready = with_data_statistics(embedder, splits, "own", self.cameras)
        found = [_shared_out(ready[name], split, numbering) for name, split in splits.items()]
        return evaluate(*found, convention=self.convention)


def _shared_out(embedder: Embedder, split: Split, numbering: Numbering) -> Embeddings:
    here = world()
    share = np.array_split(np.arange(len(split)), here.size)[here.rank]
    part = split[int(share[0]) : int(share[-1]) + 1] if len(share) else split[:0]
    return Embeddings.concatenate(everyone(embed(embedder, part, numbering=numbering)))


def predicted(logits: Sequence[Tensor]) -> Tensor:
    """(B,) classes by the sum of the heads' probabilities (PCB's six; one for others).

    Args:
        logits: one (B, classes) tensor a head.
    """
    with torch.no_grad():
        return torch.stack([each.softmax(dim=1) for each in logits]).sum(dim=0).argmax(dim=1)


@dataclass
class ClassificationEvaluation:
    """Error and cross-entropy on images of training identities that were held out.

    Attributes:
        model: gives the network to measure, with its classifier.
        split: held-out images.
        labels: (domain, pid) -> class.
        preprocess: the network's input.
        device: where the network runs.
        batch_size: images a forward pass.
        by_class: measure the mean of the classes' own errors too.
        workers: processes that decode; 0: none beside the calling one.
    """

    model: Callable[[], nn.Module]
    split: Split
    labels: Mapping[tuple[str, int], int]
    preprocess: Preprocess | CloudPreprocess
    device: torch.device | str = "cpu"
    batch_size: int = 64
    by_class: bool = False
    workers: int = 0

    @torch.inference_mode()
    def __call__(self, max_batches: int | None = None) -> dict[str, float]:
        """``val_error`` as a fraction and ``val_loss``, with `by_class` ``val_class_error``; every process measures the same."""
        model = self.model().eval()
        share_buffers(model)
        split = self.split if max_batches is None else self.split[: max_batches * self.batch_size]
        transform, prepared = _input_stage(self.preprocess)
        loader = EvalLoader(split, transform, batch_size=self.batch_size, workers=self.workers, label_map=self.labels)
        wrong, labels, loss = [], [], 0.0
        for batch in (each.to(self.device) for each in loader):
            logits = model(prepared(batch.inputs)).logits
            wrong.append(predicted(logits) != batch.labels)
            labels.append(batch.labels)
            loss += float(cross_entropy(logits, batch.labels)) * len(batch)
        errors, whose = torch.cat(wrong).double(), torch.cat(labels)
        found = {"val_error": float(errors.mean()), "val_loss": loss / len(split)}
        if self.by_class:
            found["val_class_error"] = float(torch.stack([errors[whose == label].mean() for label in whose.unique()]).mean())
        return found


def _input_stage(preprocess: Preprocess | CloudPreprocess) -> tuple[Transform, Callable[[Tensor], Tensor]]:
    """What makes a file a part of a batch, and a batch the network's input."""
    if isinstance(preprocess, CloudPreprocess):
        return EvalClouds(preprocess), lambda clouds: clouds
    return EvalTransform(preprocess), lambda images: normalise(images, preprocess)


@dataclass(frozen=True)
class Evaluations:
    """Several measurements as one."""

    parts: tuple[Evaluate, ...]

    def __call__(self, max_batches: int | None = None) -> dict[str, float]:
        """All their numbers together."""
        return {name: value for part in self.parts for name, value in part(max_batches).items()}
