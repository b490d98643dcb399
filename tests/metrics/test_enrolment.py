import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics.enrolment import name_probes


def sets(vectors, pids, camids=None):
    return Embeddings(
        np.array(vectors, np.float32), np.array(pids), np.zeros(len(pids), int) if camids is None else np.array(camids)
    )


def test_worked_by_hand():
    enrolled = sets([(1, 0), (0.8, 0.6), (0, 3)], [1, 1, 2])  # person 1 stands at (0.9487, 0.3162), person 2 at (0, 1)
    probes = sets([(1, 0), (0.5, 0.5), (0.1, 1), (0.9, 0.1)], [1, 1, 2, 2])
    found = name_probes(enrolled, probes)
    assert found.share == 0.75 and (found.num_probes, found.num_people) == (4, 2)
    assert found.interval == (0.5, 1.0)  # person 1 alone: all right, person 2 alone: half


def test_within_a_camera_only_its_own_people_are_asked():
    enrolled = sets([(1, 0), (0, 1), (1, 0.1)], [1, 2, 3], [0, 0, 1])
    probes = sets([(1, 0.08), (1, 0.08)], [1, 3], [0, 1])
    assert name_probes(enrolled, probes).share == 0.5
    assert name_probes(enrolled, probes, within=True).share == 1.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 6), st.booleans())
def test_equals_the_slow_form(seed, people, within):
    random = np.random.default_rng(seed)
    pids = np.repeat(np.arange(people), 4)
    camids = pids % 2
    vectors = random.standard_normal((len(pids), 3))
    late = np.arange(len(pids)) % 4 > 1
    enrolled, probes = sets(vectors[~late], pids[~late], camids[~late]), sets(vectors[late], pids[late], camids[late])
    right = 0
    for vector, pid, camid in zip(probes.vectors, probes.pids, probes.camids, strict=True):
        best = {}
        for person in set(pids.tolist()):
            rows = (enrolled.pids == person) & ((enrolled.camids == camid) | (not within))
            if rows.any():
                mean = np.mean([row / np.linalg.norm(row) for row in enrolled.vectors[rows].astype(float)], axis=0)
                best[person] = float(vector @ mean / np.linalg.norm(mean))
        right += max(best, key=best.__getitem__) == pid
    assert name_probes(enrolled, probes, within=within).share == pytest.approx(right / len(probes))


@pytest.mark.parametrize(
    ("enrolled", "probes", "words", "error", "text"),
    [
        (sets([(1, 0)], [1]), sets([(1, 0)], [1]), {"samples": 0}, UsageError, "0 samples, level 0.95: samples >= 1"),
        (sets([(1, 0)], [1]), sets([(1, 0)], [1]), {"level": 1.0}, UsageError, "level 1.0"),
        (sets(np.zeros((0, 2)), []), sets([(1, 0)], [1]), {}, EmbeddingsError, "0 images enrolled, 1 to name"),
        (sets([(1, 0)], [1]), sets([(1, 0, 0)], [1]), {}, EmbeddingsError, "enrolled images have 2 dimensions, probes 3"),
        (sets([(1, 0)], [1]), sets([(1, 0)], [7]), {}, EmbeddingsError, r"1 people to name were never enrolled \(pid 7\)"),
        (sets([(1, 0)], [1], [0]), sets([(1, 0)], [1], [1]), {"within": True}, EmbeddingsError, "never enrolled there"),
    ],
)
def test_what_cannot_be_named_is_refused(enrolled, probes, words, error, text):
    with pytest.raises(error, match=text):
        name_probes(enrolled, probes, **words)
