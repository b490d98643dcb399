"""Repeated random splits of small data sets that come without lists: shipped with the package, each file under its hash.

``trial_lists/prid2011.json``: ten times the numbers of 100 of the 200 people whom both cameras see; they are the test people.
``trial_lists/ilids.json``: ten times 60 of the 119 people, counted from 0 in the order of their numbers, and for each two numbers
that choose a query and a gallery image among however many there are.
``trial_lists/viper.json``: ten times the 632 people, counted from 0 in the order of their numbers, in a random order. It is
that of MATLAB after ``rng(0)`` calling ``randperm(632)`` ten times, which `matlab_permutations` makes again.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import Any

import numpy as np

from passerby.errors import DataError

__all__ = ["HASHES", "matlab_permutations", "trial_list", "two_images"]

HASHES = {
    "prid2011": "4cf603d642f31197c55ba4a3ff689ba4da438aa94e86c77e774f503fc805ffef",
    "ilids": "95a6ee797d91ee06cc58ca50c7ac991cf7ca9234d9d931d7b788f1fe0f3ac0d9",
    "viper": "0efc1e990342ff03a2311a98dc52051831b5d44a9cf0ab9c90a6eaea222338b0",
}
"""Data set -> SHA-256 of its list."""


def trial_list(name: str) -> list[Any]:
    """The ten trials of a data set.

    Raises:
        DataError: the file is not the one that numbers were made with, or trials repeat each other.
    """
    content = (resources.files("passerby.datasets") / "trial_lists" / f"{name}.json").read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != HASHES[name]:
        raise DataError(f"the trials of {name} have hash {found[:12]}, expected {HASHES[name][:12]}: install passerby again.")
    return json.loads(content)


def two_images(images: int, first: int, second: int) -> tuple[int, int]:
    """Two different positions among so many images, from two numbers of 0 or more.

    >>> two_images(3, 4, 7)
    (1, 0)
    """
    if images < 2:
        raise DataError(f"a person with {images} images cannot be both query and gallery: two are the least.")
    one = first % images
    return one, (one + 1 + second % (images - 1)) % images


def matlab_permutations(length: int, count: int) -> list[list[int]]:
    """What MATLAB's ``rng(0)`` and then `count` times ``randperm(length)`` give, counted from 0.

    Its default generator is the Mersenne twister, seed 0 stands for 5489, and a permutation is the order of as many uniform
    numbers. The documented ``randperm(6)`` is met; that 632 numbers are put in order likewise is by extension.

    >>> [number + 1 for number in matlab_permutations(6, 1)[0]]
    [6, 3, 5, 1, 2, 4]
    """
    random = np.random.RandomState(5489)
    return [np.argsort(random.random_sample(length), kind="stable").tolist() for _ in range(count)]
