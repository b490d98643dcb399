"""The labelled real videos: boxes lie on people, in the frame that the truth names."""

from pathlib import Path

import numpy as np
import pytest

from passerby import datasets
from passerby.datasets import HoldOut
from passerby.datasets.mot import find_sequences, plan_sequence
from passerby.datasets.mot_boxes import MotOptions
from passerby.datasets.video_frames import frames

SHARED = Path(__file__).parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (SHARED / "TUD-Campus.mp4").is_file(), reason="the TUD videos are not in ../shared/data"),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    pytest.importorskip("av", reason="video needs PyAV")
    out = tmp_path_factory.mktemp("tud") / "tud"
    return datasets.prepare(SHARED, out, held_out=HoldOut(test_domains=("TUD-Campus",)))


def test_all_boxes_but_one_become_crops(prepared):
    assert prepared.images == {"train": 1_156, "query": 60, "gallery": 298}
    assert prepared.left_out == {"mostly outside the picture": 1}
    report = datasets.check(prepared.out)
    assert [(row.name, row.ids, row.cameras) for row in report.subsets] == [("train", 10, 2), ("query", 8, 2), ("gallery", 8, 2)]
    assert not report.problems


def test_the_folder_says_what_it_is(prepared):
    data = datasets.read("mot", prepared.out)
    datasets.check_evaluable(data)
    assert "stand in for two cameras" in data.notes[0]
    assert {record.domain for record in data.train} == {"TUD-Stadtmitte"}
    report = datasets.check(SHARED)
    assert report.dataset == "mot"
    assert (
        "TUD-Campus (71 frames, 8 tracks, 359 boxes), TUD-Stadtmitte (179 frames, 10 tracks, 1,156 boxes)"
        in report.findings[0].text
    )


@pytest.mark.parametrize("number", [0, 1], ids=["TUD-Campus", "TUD-Stadtmitte"])
def test_boxes_lie_on_what_moves_only_with_the_right_frame_offset(number):
    """The camera stands still, so that people are what differs from the median picture."""
    source, crops, _ = plan_sequence(find_sequences(SHARED)[number], MotOptions())
    assert source.count is not None
    grey = np.stack([np.asarray(image.convert("L"))[::2, ::2] for _, image in frames(source, range(1, source.count + 1))])
    moving = np.abs(grey - np.median(grey, axis=0)) > 25
    boxes = np.zeros_like(moving)
    for crop in crops:
        left, top, right, bottom = (corner // 2 for corner in crop.corners)
        boxes[crop.frame - 1, top:bottom, left:right] = True

    def overlap(offset: int) -> float:
        """Intersection over union of moving pixels and boxes, the boxes of each frame laid on the frame `offset` later."""
        seen = moving[max(0, offset) : len(moving) + min(0, offset)]
        laid = boxes[max(0, -offset) : len(boxes) + min(0, -offset)]
        return (seen & laid).sum() / (seen | laid).sum()

    assert overlap(0) > max(overlap(offset) for offset in (-8, -5, -3, 3, 5, 8))
