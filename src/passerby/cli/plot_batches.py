"""`passerby plot batches`: how many images of each camera, and how many people, stand in a batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from passerby.errors import UsageError

if TYPE_CHECKING:
    from passerby.records import Split
    from passerby.samplers import Sampler

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Draw the composition of training batches by camera, as a sampler makes them; no image is read."""

    data: Path
    """folder that holds the data set"""
    dataset: str = ""
    """data set: market1501, msmt17, ... (default: what lies in --data)"""
    sampler: Literal["shuffle", "identity", "domains"] = "identity"
    """shuffle; identity: P people x K images; domains: equally many people of each domain"""
    batch_size: int = 64
    """images a batch"""
    images_per_identity: int = 4
    """K, of identity and domains"""
    epoch: int = 1
    """which epoch, counted from 1"""
    out: Path = Path("batches.png")
    """picture to write: .png, .pdf, .svg or .jpg"""
    seed: int = 0
    """of the order of the images"""
    title: str = ""
    """heading (default: sampler and data set)"""
    dpi: int = 130
    """dots an inch"""
    json: Path | None = None
    """write the counts to this file too"""


def run(options: Options) -> None:
    """Draw what the options name."""
    from passerby import datasets
    from passerby.datasets.registry import read_parts
    from passerby.files import write_json
    from passerby.plots import plot_batches
    from passerby.plots.style import check_format
    from passerby.running import fit_to_train

    check_format(options.out, options.dpi)
    if options.epoch < 1:
        raise UsageError(f"--epoch is {options.epoch}: epochs count from 1.")
    if options.sampler == "shuffle" and options.images_per_identity != Options.images_per_identity:
        raise UsageError(f"--images-per-identity is {options.images_per_identity}, but a shuffle knows no people. Leave it out.")
    data = fit_to_train(read_parts(options.dataset or datasets.detect(options.data), options.data))
    batches = _sampler(options, data.train).epoch(options.epoch - 1)
    said = f"{options.batch_size} images" + ("" if options.sampler == "shuffle" else f", {options.images_per_identity} a person")
    title = options.title or f"batches by {options.sampler} ({said}) of {data.name}, epoch {options.epoch}"
    counts = plot_batches(data.train, batches, options.out, title=title, dpi=options.dpi)
    cameras = [f"{domain}/{camid}" for domain, camid in data.train.cameras]
    print(f"{options.out}: {len(batches)} batches an epoch, {len(cameras)} cameras")
    if options.json is not None:
        write_json(options.json, {"picture": str(options.out), "cameras": cameras, "counts": counts.tolist()})


def _sampler(options: Options, train: Split) -> Sampler:
    from passerby.batches import labels_of
    from passerby.samplers import DomainBalancedSampler, IdentitySampler, ShuffleSampler, identities_per_batch

    if options.sampler == "shuffle":
        return ShuffleSampler(len(train), options.batch_size, seed=options.seed)
    labels, K = labels_of(train, train.label_map()).numpy(), options.images_per_identity
    if options.sampler == "identity":
        return IdentitySampler(labels, identities_per_batch(options.batch_size, K, 1), K, seed=options.seed)
    return DomainBalancedSampler([record.domain for record in train], labels, options.batch_size, K, seed=options.seed)
