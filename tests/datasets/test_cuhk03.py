"""The release's own structure: HDF5 references to cells of references to transposed pictures, empty cells as two zeros."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from passerby import datasets
from passerby.datasets.cuhk03_release import extracted
from passerby.datasets.cuhk03_release import new_protocol as read_protocol
from passerby.datasets.cuhk03_release import test_people as check_people
from passerby.errors import DataError, MissingDependencyError

h5py = pytest.importorskip("h5py", reason="the CUHK03 release is an HDF5 file; h5py is not installed")
scipy_io = pytest.importorskip("scipy.io")

PEOPLE = (3, 2, 1, 1, 1)  # in each camera pair


def pixels(pair: int, person: int, image: int) -> np.ndarray:
    """(H, W, 3), told apart from every other by its values and its sides."""
    return np.random.default_rng([pair, person, image]).integers(0, 256, (7, 4, 3), dtype=np.uint8)


def is_there(person: int, image: int) -> bool:
    return image in (0, 1, 5, 6) or (image == 2 and person == 0)


class Release:
    """Writes MATLAB 7.3 as MATLAB does: everything transposed, cells as references into #refs#."""

    def __init__(self, path):
        self.file = h5py.File(path, "w")
        self.count = 0

    def put(self, array, **attributes):
        dataset = self.file.create_dataset(f"#refs#/{self.count}", data=array)
        dataset.attrs.update(attributes)
        self.count += 1
        return dataset.ref

    def cell(self, rows):
        """A MATLAB cell array of references, `rows` as MATLAB has them."""
        array = np.empty((len(rows), len(rows[0])), dtype=h5py.ref_dtype)
        for i, row in enumerate(rows):
            for j, reference in enumerate(row):
                array[i, j] = reference
        return array.T

    def images(self, people):
        def one(pair, person, image):
            if is_there(person, image):
                return self.put(pixels(pair, person, image).T)
            return self.put(np.zeros(2, dtype=np.uint64), MATLAB_empty=1)

        def matrix(pair, count):
            return self.put(self.cell([[one(pair, person, image) for image in range(10)] for person in range(count)]))

        return self.cell([[matrix(pair, count)] for pair, count in enumerate(people)])


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "cuhk03"
    (root / "cuhk03_release").mkdir(parents=True)
    writer = Release(root / "cuhk03_release" / "cuhk-03.mat")
    for boxes in ("detected", "labeled"):
        writer.file.create_dataset(boxes, data=writer.images(PEOPLE))
    tests = [np.array([[1, 1], [2, 2]]), np.array([[1, 3], [5, 1]])]
    writer.file.create_dataset("testsets", data=writer.cell([[writer.put(test.T.astype(float))] for test in tests]))
    writer.file.close()
    return root


def new_protocol(root, boxes="detected", names=("1_001_1_01.png", "1_001_2_06.png", "2_002_1_01.png", "2_002_2_06.png")):
    files = np.empty((len(names), 1), dtype=object)
    files[:, 0] = names
    indices = {"train_idx": [[1], [2]], "query_idx": [[3]], "gallery_idx": [[4]]}
    content = {"filelist": files, "labels": [[1], [1], [9], [9]], "camId": [[1], [2], [1], [2]], **indices}
    scipy_io.savemat(root / f"cuhk03_new_protocol_config_{boxes}.mat", content)
    return root


def test_the_new_protocol_reads_pictures_out_of_the_release(release, short):
    new_protocol(release)
    assert datasets.detect(release) == "cuhk03-np-detected"
    data = datasets.read("cuhk03-np-detected", release)
    assert short(data.train) == [("1_001_1_01.png", 1, 0, 1), ("1_001_2_06.png", 1, 1, 6)]
    assert short(data.query) == [("2_002_1_01.png", 9, 0, 1)]
    assert short(data.gallery) == [("2_002_2_06.png", 9, 1, 6)]
    with Image.open(data.gallery[0].path) as image:
        assert np.array_equal(np.asarray(image), pixels(1, 1, 5))
    assert len(list((release / "images_detected").iterdir())) == 4 * sum(PEOPLE) + len(PEOPLE)


@pytest.mark.parametrize("boxes", ["detected", "labeled"])
def test_all_images_of_either_form_for_training(release, boxes):
    new_protocol(release, boxes)
    everything = datasets.read(f"dg-cuhk03-{boxes}", release)
    apart = datasets.read(f"cuhk03-np-{boxes}", release)
    assert everything.name == f"cuhk03-all-{boxes}" and not len(everything.query) and not len(everything.gallery)
    assert {record.path for split in (apart.train, apart.query, apart.gallery) for record in split} <= {
        record.path for record in everything.train
    }
    assert len(everything.train) == len({record.path for record in everything.train}) >= len(apart.train) + len(apart.gallery)


def test_pictures_are_unpacked_once(release, monkeypatch):
    new_protocol(release)
    first = datasets.read("cuhk03", release)
    monkeypatch.setattr("passerby.datasets.cuhk03_release._pictures", None)
    assert datasets.read("cuhk03", release) == first


def test_an_interrupted_unpacking_leaves_nothing(release, monkeypatch, message):
    new_protocol(release)

    def breaks_off(*_):
        yield "1_001_1_01.png", pixels(0, 0, 0)
        raise KeyboardInterrupt

    monkeypatch.setattr("passerby.datasets.cuhk03_release._pictures", breaks_off)
    before = sorted(release.iterdir())
    with pytest.raises(KeyboardInterrupt):
        datasets.read("cuhk03", release)
    assert sorted(release.iterdir()) == before


def test_the_cache_goes_where_it_is_told(release, tmp_path, monkeypatch):
    monkeypatch.setenv("PASSERBY_CACHE", str(tmp_path / "cache"))
    folder = extracted(release, "labeled")
    assert folder.name == "images_labeled" and folder.parent.name.startswith("cuhk03-")
    assert folder.parent.parent == tmp_path / "cache"
    assert not (release / "images_labeled").exists()


def test_a_place_that_cannot_be_written_is_named(release, tmp_path, monkeypatch, message):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("PASSERBY_CACHE", str(tmp_path / "cache"))
    said = re.sub(r"cuhk03-[0-9a-f]{8}", "cuhk03-HASH", message(DataError, lambda: extracted(release, "labeled")))
    assert said == (
        '"ROOT/cache/cuhk03-HASH/images_labeled" cannot be written (Not a directory): '
        "pictures of cuhk-03.mat are unpacked there once. "
        "Set PASSERBY_CACHE to a folder that can."
    )


def test_the_classic_splits_are_trials(release):
    assert datasets.detect(release) == "cuhk03-classic-detected"
    data = datasets.read("cuhk03-classic-labeled", release)
    assert [trial.name for trial in data.trials] == ["split 1", "split 2"]
    assert {record.pid for record in data.trials[0].gallery} == {10_001, 20_002}
    assert {record.pid for record in data.trials[1].query} == {10_003, 50_001}
    everyone = {10_001, 10_002, 10_003, 20_001, 20_002, 30_001, 40_001, 50_001}
    for trial in data.trials:
        assert trial.query == trial.gallery
        assert {record.pid for record in trial.train} == everyone - {record.pid for record in trial.query}
        assert {record.camid for record in trial.query} == {0, 1}
    assert (data.train, data.query) == (data.trials[0].train, data.trials[0].query)
    assert data.notes == (
        "classic CUHK03 protocol: a result is the mean over 2 trials, each trained on its own people",
        "train, query and gallery are those of split 1 of 2",
    )
    datasets.check_evaluable(data)


def test_the_folder_that_others_extracted(tmp_path, draw, short):
    root = tmp_path / "CUHK03-NP"
    for boxes in ("detected", "labeled"):
        draw(root / boxes / "bounding_box_train" / "0001_c1_1.png")
        draw(root / boxes / "query" / "0003_c1_21.png")
        draw(root / boxes / "bounding_box_test" / "0003_c2_26.png")
    draw(root / "labeled" / "bounding_box_test" / "0003_c2_27.png")
    assert datasets.detect(tmp_path) == "cuhk03-np-detected"
    assert len(datasets.read("cuhk03-np-detected", tmp_path).gallery) == 1
    labeled = datasets.read("cuhk03-np-labeled", root)
    assert short(labeled.gallery) == [("0003_c2_26.png", 3, 1, None), ("0003_c2_27.png", 3, 1, None)]
    assert datasets.read("cuhk03-np-labeled", root / "labeled") == labeled


def test_a_missing_protocol_file(release, message):
    assert message(DataError, lambda: datasets.read("cuhk03-np-labeled", release)) == (
        'cuhk03_new_protocol_config_labeled.mat missing from "ROOT/cuhk03": the new protocol needs cuhk-03.mat and '
        "cuhk03_new_protocol_config_labeled.mat. The first is the release of its owners, the second comes with the new protocol "
        "(Zhun Zhong and others)."
    )


def test_a_missing_release(tmp_path, message):
    root = new_protocol(tmp_path)
    assert message(DataError, lambda: datasets.read("cuhk03-np-detected", root)).startswith('cuhk-03.mat missing from "ROOT": ')
    text = message(DataError, lambda: datasets.read("cuhk03-classic-detected", root))
    assert text.startswith('"ROOT" holds CUHK03-NP (detected), not CUHK03 (detected); its name here is "cuhk03-np-detected".')


def test_a_protocol_that_names_an_absent_image(release, message):
    new_protocol(release, names=("1_001_1_01.png", "1_001_2_10.png", "2_002_1_01.png", "2_002_2_06.png"))
    assert message(DataError, lambda: datasets.read("cuhk03", release)) == (
        "cuhk03_new_protocol_config_detected.mat names 1 of 2 images that cuhk-03.mat does not hold: 1_001_2_10.png. "
        "Are both files of one release?"
    )


def test_damaged_files(release, message):
    config = release / "cuhk03_new_protocol_config_detected.mat"
    config.write_bytes(b"no matlab")
    text = message(DataError, lambda: datasets.read("cuhk03", release))
    assert text.startswith('"ROOT/cuhk03/cuhk03_new_protocol_config_detected.mat" cannot be read as a CUHK03 new-protocol file: ')
    scipy_io.savemat(config, {"filelist": ["a"]})
    assert message(DataError, lambda: datasets.read("cuhk03", release)) == (
        "\"ROOT/cuhk03/cuhk03_new_protocol_config_detected.mat\" lacks the variable 'labels'; "
        "it is not a CUHK03 new-protocol file."
    )
    mat = release / "cuhk03_release" / "cuhk-03.mat"
    mat.write_bytes(mat.read_bytes()[:2000])
    text = message(DataError, lambda: datasets.read("cuhk03-classic-labeled", release))
    assert text.startswith('"ROOT/cuhk03/cuhk03_release/cuhk-03.mat" is no HDF5 file, or truncated: ')
    assert not [path for path in release.iterdir() if path.name.startswith("images")]


def test_files_that_vanish_before_they_are_opened(tmp_path, message):
    assert message(DataError, lambda: check_people(tmp_path)) == 'cuhk-03.mat missing from "ROOT".'
    assert message(DataError, lambda: read_protocol(tmp_path, "x.mat")) == 'x.mat missing from "ROOT".'


def test_two_processes_that_unpack_at_once_agree(release, monkeypatch):
    """The second one finds the folder of the first when it wants to put its own there."""
    rename = type(release).rename

    def first_comes_another(part, folder):
        shutil.copytree(part, folder)
        return rename(part, folder)

    monkeypatch.setattr(type(release), "rename", first_comes_another)
    folder = extracted(release, "labeled")
    assert len(list(folder.iterdir())) == 4 * sum(PEOPLE) + len(PEOPLE)
    assert [path.name for path in release.iterdir()].count("images_labeled") == 1
    assert not [path for path in release.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("gone", ["labeled", "testsets"])
def test_another_hdf5_file(release, message, gone):
    with h5py.File(release / "cuhk03_release" / "cuhk-03.mat", "a") as file:
        del file[gone]
    text = message(DataError, lambda: datasets.read("cuhk03-classic-labeled", release))
    assert text.startswith(f'cuhk-03.mat holds no "{gone}", only #refs#, detected, ')
    assert text.endswith(". Is this the CUHK03 release?")


def test_without_h5py_the_extra_is_named(release, message, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    assert message(MissingDependencyError, lambda: datasets.read("cuhk03-classic-labeled", release)) == (
        'cuhk-03.mat is an HDF5 file, which needs h5py: pip install "passerby[cuhk03]"'
    )
