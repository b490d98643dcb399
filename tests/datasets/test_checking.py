import json
import shutil
from pathlib import Path

import pytest

from passerby import datasets
from passerby.datasets.consequences import consequences
from passerby.datasets.counts import differences
from passerby.datasets.registry import DATASETS
from passerby.errors import DataError, UsageError
from passerby.records import Record, ReidData, Split


def of(*rows):
    """Records of (name, pid, camid) or (name, pid, camid, domain)."""
    return Split(tuple(Record(Path(row[0]), row[1], row[2], row[3] if len(row) > 3 else "d") for row in rows))


def findings(report, severity):
    return {finding.kind: finding.text for finding in report.findings if finding.severity == severity}


def test_the_report_of_a_market_tree(tree):
    root = tree("market", "Market-1501-v15.09.15")
    report = datasets.check(root.parent)
    assert (report.dataset, report.title, report.path, report.decoded) == ("market1501", "Market-1501", root, 10)
    assert [(row.name, row.ids, row.images, row.cameras, row.junk, row.distractors) for row in report.subsets] == [
        ("train", 2, 4, 4, 0, 0),
        ("query", 2, 2, 2, 0, 0),
        ("gallery", 2, 4, 4, 1, 1),
    ]
    assert report.subsets[2].expected.images == 19_732
    first = report.samples[0]
    assert (first.file, first.pid, first.camid, first.frame) == ("bounding_box_train/0002_c1s1_000451_03.jpg", 2, 0, 451)
    assert {finding.kind for finding in report.problems} == {"unexpected-counts"}
    assert set(findings(report, "consequence")) == {"unexpected-counts", "unknown-cameras"}
    assert json.loads(json.dumps(report.as_json()))["subsets"][0]["images"] == 4


def test_a_sound_folder_of_ones_own_has_no_problem(tmp_path, draw):
    for pid in range(1, 5):
        for camera in (1, 2):
            draw(tmp_path / ("train" if pid < 3 else ("query", "gallery")[camera - 1]) / str(pid) / f"{pid}_c{camera}.jpg")
    report = datasets.check(tmp_path)
    assert (report.dataset, report.findings) == ("folder", ())


def test_damaged_images_are_found_by_opening_them(tree):
    root = tree("market")
    train = root / "bounding_box_train"
    path = train / "0002_c1s1_000451_03.jpg"
    path.write_bytes(path.read_bytes()[:300])
    (train / "0002_c2s1_000801_01.jpg").write_bytes(b"")
    report = datasets.check(root)
    text = findings(report, "problem")["unreadable-images"]
    assert text.startswith(f'image "{path}" is truncated or damaged: ')
    assert text.endswith('. And 1 more: "0002_c2s1_000801_01.jpg".')
    assert report.decoded == 8
    quick = datasets.check(root, quick=True)
    assert findings(quick, "problem")["unreadable-images"] == (
        f'image "{train / "0002_c2s1_000801_01.jpg"}" has zero bytes. Copy or unpack it again.'
    )
    assert quick.decoded == 0


def test_an_image_that_is_gone_between_listing_and_opening(tree):
    root = tree("market")
    (root / "query" / "0001_c1s1_001051_00.jpg").unlink()
    (root / "query" / "0001_c1s1_001051_00.jpg").symlink_to(root / "nowhere.jpg")
    for quick in (False, True):
        problems = findings(datasets.check(root, quick=quick), "problem")
        assert problems["unreadable-images"].endswith('0001_c1s1_001051_00.jpg" cannot be read: No such file or directory.')


COPIES = [
    ("bounding_box_train/0002_c1s1_000451_03.jpg", "bounding_box_test/0002_c3s1_000001_01.jpg", "problem", "leak"),
    ("query/0001_c1s1_001051_00.jpg", "bounding_box_test/0003_c4s1_000001_01.jpg", "problem", "contradiction"),
    ("query/0001_c1s1_001051_00.jpg", "bounding_box_test/0001_c4s1_000001_01.jpg", "problem", "copied-match"),
    ("query/0001_c1s1_001051_00.jpg", "bounding_box_test/0001_c1s1_000001_01.jpg", "note", "same-camera-copies"),
    (
        "bounding_box_train/0002_c1s1_000451_03.jpg",
        "bounding_box_train/0007_c1s1_000001_01.jpg",
        "consequence",
        "contradiction-in-training",
    ),
    ("bounding_box_train/0002_c1s1_000451_03.jpg", "bounding_box_train/0002_c1s1_000452_03.jpg", "note", "copies"),
]


@pytest.mark.parametrize(("source", "target", "severity", "kind"), COPIES, ids=[kind for *_, kind in COPIES])
def test_equal_pictures_by_what_they_do(tree, source, target, severity, kind):
    root = tree("market")
    clean = {finding.kind for finding in datasets.check(root).findings}
    shutil.copy(root / source, root / target)
    found = findings(datasets.check(root), severity)
    assert kind not in clean
    assert found[kind].startswith('1 pictures ("')
    others = {other for *_, other in COPIES} - {kind}
    assert not others & {finding.kind for finding in datasets.check(root).findings}


def test_validation_images_that_are_training_images(tmp_path, draw):
    """The usual preparation script, run twice, copies each validation image into the training folder too."""
    path = draw(tmp_path / "val" / "1" / "a_c1.jpg")
    (tmp_path / "train" / "1").mkdir(parents=True)
    shutil.copy(path, tmp_path / "train" / "1" / "b_c1.jpg")
    assert findings(datasets.check(tmp_path), "consequence")["in-train-and-val"] == (
        '1 pictures ("b_c1.jpg") are in train and val: validation is partly made on training images.'
    )


def kinds(data):
    return {(finding.kind, finding.severity): finding.text for finding in consequences(data)}


def test_queries_without_a_match_are_a_consequence():
    data = ReidData("x", query=of(("a", 1, 0), ("b", 2, 0), ("c", 3, 0)), gallery=of(("d", 1, 1), ("e", 2, 0)))
    found = kinds(data)
    assert found["absent-from-gallery", "consequence"] == (
        "1 query identities (3) are not in the gallery: 1 queries have no match; "
        "an evaluation skips them or counts them as failures, by its convention."
    )
    assert found["single-camera-people", "consequence"] == (
        "2 of 3 test persons (pid 2, 3) are seen by one camera only: no query of theirs has a match; they only distract."
    )
    datasets.check_evaluable(data)


def test_a_query_that_only_its_own_camera_sees(tmp_path):
    data = ReidData("x", query=of((tmp_path / "a", 1, 0), (tmp_path / "b", 2, 0)), gallery=of(("d", 1, 1), ("e", 2, 0)))
    assert kinds(data)["no-match", "consequence"] == (
        '1 of 2 queries ("b") match only in their own camera; '
        "an evaluation skips them or counts them as failures, by its convention."
    )


def test_people_on_both_sides_and_new_cameras():
    data = ReidData("x", train=of(("t", 1, 0), ("u", 1, 1)), query=of(("a", 1, 0)), gallery=of(("b", 1, 5)))
    found = kinds(data)
    assert found["known-people", "consequence"] == (
        "1 of 1 query persons (1) are also in training: the number says how well known people are found again, not new ones."
    )
    assert found["unknown-cameras", "consequence"] == "1 cameras occur in test only (camid 5), never in training."


def test_a_file_in_training_and_test(tmp_path):
    data = ReidData("x", train=of((tmp_path / "t", 1, 0)), query=of((tmp_path / "a", 2, 0)), gallery=of((tmp_path / "t", 2, 1)))
    assert kinds(data)["leak", "problem"] == '1 files ("t") are in training and test: every number is made on training images.'


def test_training_people_that_teach_little():
    found = kinds(ReidData("x", train=of(("a", 1, 0), ("b", 2, 0), ("c", 2, 0), ("j", -1, 0))))
    assert found["single-camera-people", "consequence"] == (
        "2 of 2 train persons (pid 1, 2) are seen by one camera only: nothing across cameras is learnt from them."
    )
    assert found["single-image-people", "consequence"] == (
        "1 training persons have one image only: no pair of theirs can be learnt from."
    )
    assert found["junk-in-training", "consequence"].startswith("1 training images are junk or distractors (pid -1 or 0): ")
    assert found["no-test-images", "consequence"].startswith("0 queries and 0 gallery images, so nothing can be evaluated. ")


def test_one_pid_in_two_domains():
    data = ReidData("x", query=of(("a", 1, 0, "d"), ("b", 1, 0, "e")), gallery=of(("c", 1, 1, "d")))
    assert kinds(data)["shared-pids", "consequence"] == (
        "1 pids (pid 1) occur in several domains: evaluation takes each for one person."
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            ReidData("x", query=of(("a", 1, 0)), gallery=of(("b", 1, 0), ("c", 2, 0))),
            "x: all 3 query and gallery images are of one camera (camid 0), and images of the query's own camera never count, "
            "so nothing can be evaluated. Are cameras missing in the file names or the manifest? "
            "Data of one camera: --convention any-camera counts its own images.",
        ),
        (
            ReidData("x", query=of(("a", 1, 0), ("b", 7, 0)), gallery=of(("c", 2, 1))),
            "x: none of the 2 query identities (1, 7) is in the gallery, so nothing can be evaluated. "
            "Do query and gallery belong together?",
        ),
        (
            ReidData("x", query=of(("a", 1, 0), ("b", 2, 1)), gallery=of(("c", 1, 0), ("d", 2, 1))),
            "x: none of the 2 queries has a match in another camera, so nothing can be evaluated. "
            "To count matches in the query's own camera: --convention any-camera.",
        ),
        (ReidData("x", query=of(("a", 1, 0))), "x: 1 queries but no gallery images, so nothing can be evaluated."),
        (ReidData("x", gallery=of(("a", 1, 0))), "x: 1 gallery images but no queries, so nothing can be evaluated."),
        (
            ReidData("x", train=of(("a", 1, 0))),
            "x: 0 queries and 0 gallery images, so nothing can be evaluated. "
            "People can be held out: passerby data prepare FOLDER --out NEW_FOLDER --test-share 0.5",
        ),
    ],
    ids=["one camera", "absent identities", "no match", "no gallery", "no query", "no test"],
)
def test_what_cannot_be_evaluated_is_refused_at_once(message, data, expected):
    assert message(DataError, lambda: datasets.check_evaluable(data)) == expected


def test_faults_are_all_reported(tree, draw):
    root = tree("market")
    draw(root / "query" / "me.jpg")
    draw(root / "bounding_box_train" / "0002_c9s1_000451_03.jpg")
    shutil.rmtree(root / "bounding_box_test")
    kinds = [finding.kind for finding in datasets.check(root).problems]
    assert set(kinds) >= {"missing-folders", "misnamed-files", "unknown-cameras", "no-test-images"}


def test_a_folder_that_cannot_be_read_at_all_is_reported(tmp_path):
    (tmp_path / "manifest.csv").write_text("a,b\n1,2\n")
    report = datasets.check(tmp_path)
    assert [finding.kind for finding in report.problems] == ["unreadable"]


def test_a_raw_mot_folder_is_no_problem(mot):
    report = datasets.check(mot())
    assert (report.dataset, report.subsets, report.problems) == ("mot", (), ())
    assert "Crops must be cut first: passerby data prepare " in findings(report, "consequence")["not-prepared"]


def test_a_name_overrules_what_it_looks_like(tree, message):
    root = tree("market")
    assert datasets.check(root, "market-style").dataset == "market-style"
    text = message(DataError, lambda: datasets.check(root, "duke"))
    assert text.startswith('"ROOT/data" holds Market-1501, not DukeMTMC-reID; its name here is "market1501". ')
    assert message(UsageError, lambda: datasets.check(root, "dukes")).startswith('no data set "dukes". Did you mean ')


def counted(images, ids, cameras=6):
    """A split of so many images, people and cameras."""
    rows = [Record(Path(str(i)), 1 + i % ids, (i // ids + i) % cameras, "market1501") for i in range(images)]
    return Split(tuple(rows))


def test_the_release_has_no_differences():
    data = ReidData("market1501", train=counted(12_936, 751), query=counted(3_368, 750), gallery=counted(19_732, 750))
    assert differences(DATASETS["market1501"], data) == []


@pytest.mark.parametrize(
    ("gallery", "harmless", "cause"),
    [
        (
            counted(15_913, 750),
            True,
            "the 3,819 junk images (pid -1) were removed; they never count, so the numbers are the same",
        ),
        (counted(13_000, 750), False, "images are missing: an incomplete copy, or junk and distractors were removed"),
        (counted(20_000, 750), False, "files were added, or two subsets merged"),
        (counted(19_732, 700), False, "names or lists were changed"),
        (counted(100, 50), False, "people are missing: an incomplete copy, or a part chosen on purpose"),
        (Split(), False, "the subset is empty or absent"),
    ],
)
def test_each_difference_has_a_likely_cause(gallery, harmless, cause):
    data = ReidData("market1501", train=counted(12_936, 751), query=counted(3_368, 750), gallery=gallery)
    (difference,) = differences(DATASETS["market1501"], data)
    assert difference.text.startswith("gallery of Market-1501 has ")
    assert difference.text.endswith(f": {cause}")
    assert difference.harmless == harmless


def test_the_trials_of_a_small_data_set_are_counted_and_opened(draw, tmp_path, monkeypatch):
    from passerby.datasets.contents import look_at_images
    from passerby.records import Trial

    only_in_trial = of((draw(tmp_path / "a.jpg"), 1, 0))
    data = ReidData("x", trials=(Trial("1", query=only_in_trial, gallery=only_in_trial),))
    assert [look.error for look in look_at_images(data, quick=False)] == [""]
