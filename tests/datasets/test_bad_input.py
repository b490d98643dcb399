"""Bad input, one case a fault: what using it says, that `data check` says it too and fails, and that nothing is written."""

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from passerby import datasets
from passerby.cli import main
from passerby.errors import PasserbyError

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
MARKET_NEEDS = (
    "Market-1501 is read from a folder with bounding_box_train, query and bounding_box_test. Ask its authors for it "
    "(Liang Zheng and others, then at Tsinghua University). Give that folder, or one that holds it as Market-1501-v15.09.15, "
    "with --data or PASSERBY_DATA."
)


def empty_folder(tree, root):
    root.mkdir()
    return "market", f'"ROOT/data" is empty. {MARKET_NEEDS}'


def wrong_data_set(tree, root):
    tree("duke")
    return "market", f'"ROOT/data" holds DukeMTMC-reID, not Market-1501; its name here is "dukemtmc". {MARKET_NEEDS}'


def no_data_set(tree, root):
    (root / "notes").mkdir(parents=True)
    return "market", f'"ROOT/data" holds no Market-1501. {MARKET_NEEDS}'


def misnamed_file(tree, root):
    shutil.copy(tree("market") / "query" / "0001_c1s1_001051_00.jpg", root / "query" / "holiday 1.jpg")
    return "market", (
        'misnamed in "ROOT/data/query": "holiday 1.jpg": Market-1501 names its images like 0002_c1s1_000451_03.jpg. '
        "Is this another data set? Try: passerby data check ROOT/data"
    )


def a_number_beyond_64_bits(tree, root):
    name = f"{10**20}_c1s1_001051_00.jpg"
    shutil.copy(tree("market") / "query" / "0001_c1s1_001051_00.jpg", root / "query" / name)
    return "market", (
        f'misnamed in "ROOT/data/query": "{name}": Market-1501 names its images like 0002_c1s1_000451_03.jpg. '
        "Is this another data set? Try: passerby data check ROOT/data"
    )


def many_misnamed_files(tree, root):
    picture = tree("market") / "query" / "0001_c1s1_001051_00.jpg"
    for number in range(7):
        shutil.copy(picture, root / "bounding_box_test" / f"x{number}.jpg")
    return "market", (
        'misnamed in "ROOT/data/bounding_box_test": "x0.jpg", "x1.jpg", "x2.jpg", "x3.jpg", "x4.jpg" and 2 more '
        "(7 of 11 images): Market-1501 names its images like 0002_c1s1_000451_03.jpg. "
        "Is this another data set? Try: passerby data check ROOT/data"
    )


def camera_out_of_range(tree, root):
    shutil.copy(tree("market") / "query" / "0001_c1s1_001051_00.jpg", root / "query" / "0002_c7s1_000451_03.jpg")
    return "market", (
        'camid 7 in "0002_c7s1_000451_03.jpg": Market-1501 has cameras 1-6. Is this another data set? '
        "Try: passerby data check ROOT/data"
    )


def identities_absent_from_gallery(tree, root):
    for path in (tree("market") / "bounding_box_test").glob("000[13]*"):
        path.unlink()
    return "market", (
        "market1501: none of the 2 query identities (1, 3) is in the gallery, so nothing can be evaluated. "
        "Do query and gallery belong together?"
    )


def one_camera(tree, root):
    for path in sorted(tree("market").rglob("*.jpg")):
        path.rename(path.with_name(path.name[: path.name.index("_c")] + "_c1s1_" + path.name.split("_", 2)[2]))
    return "market", (
        "market1501: all 6 query and gallery images are of one camera (camid 0), and images of the query's own camera never "
        "count, so nothing can be evaluated. Are cameras missing in the file names or the manifest? "
        "Data of one camera: --convention any-camera counts its own images."
    )


def one_path_twice(tree, root):
    with (tree("msmt") / "list_query.txt").open("a") as file:
        file.write("0000/0000_000_02_0303morning_0001_0.jpg 1\n")
    return "msmt17", (
        'list_query.txt lists "0000_000_02_0303morning_0001_0.jpg" more than once: one image, one record. '
        "Remove the repeated rows."
    )


def absent_from_disk(tree, root):
    (tree("msmt") / "test" / "0001" / "0001_001_13_0303noon_0004_0.jpg").unlink()
    return "msmt17", (
        'list_gallery.txt names 1 of 2 files that are absent: "test/0001/0001_001_13_0303noon_0004_0.jpg". '
        "Unpack the data set again, or mend the list."
    )


def truncated_jpeg(tree, root):
    path = tree("market") / "query" / "0001_c1s1_001051_00.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    return "market", (
        'image "ROOT/data/query/0001_c1s1_001051_00.jpg" is truncated or damaged: '
        "image file is truncated (N bytes not processed). "
        "Copy or unpack it again."
    )


def zero_bytes(tree, root):
    (tree("market") / "query" / "0001_c1s1_001051_00.jpg").write_bytes(b"")
    return "market", 'image "ROOT/data/query/0001_c1s1_001051_00.jpg" has zero bytes. Copy or unpack it again.'


def not_an_image(tree, root):
    (tree("market") / "query" / "0001_c1s1_001051_00.jpg").write_text("<html>no longer here</html>")
    return "market", (
        'image "ROOT/data/query/0001_c1s1_001051_00.jpg" is no image: '
        "its first bytes fit no format that can be read (b'<html>no')."
    )


FAULTS = [
    empty_folder,
    wrong_data_set,
    no_data_set,
    misnamed_file,
    a_number_beyond_64_bits,
    many_misnamed_files,
    camera_out_of_range,
    identities_absent_from_gallery,
    one_camera,
    one_path_twice,
    absent_from_disk,
    truncated_jpeg,
    zero_bytes,
    not_an_image,
]


def use(name: str, root: Path) -> None:
    """What every consumer does: read, see whether it can be evaluated, open each image."""
    data = datasets.read(name, root)
    datasets.check_evaluable(data)
    for split in data.splits().values():
        for record in split:
            datasets.read_image(record.path)


def content(root: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))}


def plain(text: str, folder: Path) -> str:
    """Without what differs from run to run: the temporary folder, and how far the decoder of this Pillow came."""
    return re.sub(r"\(\d+ bytes", "(N bytes", text.replace(str(folder), "ROOT"))


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_bad_input_is_one_line_and_nothing_is_written(tree, tmp_path, capsys, fault):
    root = tmp_path / "data"
    name, expected = fault(tree, root)
    before = content(tmp_path)
    with pytest.raises(PasserbyError) as caught:
        use(name, root)
    assert plain(str(caught.value), tmp_path) == expected
    assert main(["data", "check", str(root), "--dataset", name]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("passerby: ")
    assert printed.err.count("\n") == 1
    assert expected.removeprefix("market1501: ") in plain(printed.err, tmp_path)
    assert content(tmp_path) == before


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_the_page_about_data_shows_this_message(tree, tmp_path, fault):
    _, expected = fault(tree, tmp_path / "data")
    assert f"| `{expected.replace('ROOT/data', 'DIR')}` |" in PAGE.read_text(encoding="utf-8")


def test_the_page_about_data_names_every_data_set():
    page = PAGE.read_text(encoding="utf-8")
    for layout in datasets.DATASETS.values():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{layout.name}` |"))
        assert all(f"`{alias}`" in row for alias in layout.aliases)
        assert all(f"{subset} {counts.images:,}" in row for subset, counts in layout.expected.items())


def test_grey_alpha_and_cmyk_images_are_converted(tree):
    root = tree("market")
    for path, mode in zip(sorted((root / "bounding_box_train").iterdir()), ("L", "CMYK", "RGBA", "P"), strict=True):
        with Image.open(path) as image:
            converted = image.convert(mode)
        converted.save(path, format="PNG" if mode in ("RGBA", "P") else "JPEG")  # a PNG under a .jpg name is no fault either
    use("market", root)
    assert not [finding for finding in datasets.check(root).findings if finding.kind == "unreadable-images"]


def test_a_path_with_blanks_and_other_scripts(tree, capsys):
    root = tree("market", "Daten für Ä 人/my Market-1501")
    use("market", root)
    assert main(["data", "check", str(root)]) == 1  # the counts are not those of the release
    assert "Daten für Ä 人" in capsys.readouterr().out


def test_a_name_that_is_no_text_is_still_one_printable_line(tree):
    root = tree("market")
    name = b"bad\xff\nname.jpg"
    try:
        (Path(str(root)) / "query" / name.decode("utf-8", "surrogateescape")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system holds no such names")
    with pytest.raises(PasserbyError) as caught:
        datasets.read("market", root)
    assert '"bad??name.jpg"' in str(caught.value)
    str(caught.value).encode()


def test_clutter_of_archives_is_skipped(tree):
    root = tree("market")
    before = datasets.read("market", root)
    for clutter in ("__MACOSX/query/._0001_c1s1_001051_00.jpg", "query/._0001_c1s1_001051_00.jpg", "query/.DS_Store"):
        path = root / clutter
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"Mac OS X")
    assert datasets.read("market", root) == before
    use("market", root)
