"""Crops of readers into a gallery, and a gallery moved to another model."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.errors import GalleryError, ImageError, UsageError
from passerby.gallery import Gallery, Model
from passerby.gallery.ingest import index_records, make_thumbnail
from passerby.records import Record, Split


class Colours:
    """An embedder that needs no network: the mean colour of a crop and a constant."""

    def __init__(self, name: str = "aaaaaaaaaaaa", extra: int = 1) -> None:
        from passerby.embedder import EmbeddingRule

        self.facts, self.rule, self.precision, self.cameras, self.workers = {"artefact": name}, EmbeddingRule(), "fp32", None, 1
        self.dim, self.extra, self.seen = 3 + extra, extra, 0
        self.asked: list = []

    def __call__(self, images, camera=None) -> np.ndarray:
        self.seen += len(images)
        self.asked.append(camera)
        means = np.array([np.asarray(image).reshape(-1, 3).mean(axis=0) / 255 for image in images], np.float32)
        return np.concatenate([means, np.full((len(images), self.extra), 0.5, np.float32)], axis=1)


@pytest.fixture
def split(tmp_path: Path) -> Split:
    records = []
    for n, colour in enumerate([(250, 0, 0), (0, 250, 0), (0, 0, 250)]):
        for camera in range(2):
            path = tmp_path / "crops" / f"{n}_{camera}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (40 + n, 80), colour).save(path)
            records.append(Record(path, n + 1, camera, "town", 100 * n + camera))
    return Split(tuple(records))


def indexed(folder: Path, split: Split, embedder: Colours, **how) -> tuple[Gallery, int]:
    gallery = Gallery.open(folder / "town.gallery", create=True, model=Model.of(embedder))
    return gallery, index_records(gallery, split, embedder, **how)  # pyright: ignore[reportArgumentType]


def test_crops_with_camera_time_and_track(tmp_path: Path, split: Split):
    gallery, count = indexed(
        tmp_path, split, Colours(), root=tmp_path, time=lambda record: float(record.frame or 0), track=lambda r: f"t{r.pid}"
    )
    with gallery:
        assert count == 6 and gallery.cameras() == ["town/1", "town/2"] and gallery.span() == (0.0, 201.0)
        (hits,) = gallery.search(np.array([0, 1, 0, 0.5]), 2)
        assert {hit.sighting.key for hit in hits} == {"town/crops/1_0.png", "town/crops/1_1.png"}
        assert hits[0].sighting.source.endswith(".png") and hits[0].sighting.track == "t2"
        kept = Image.open(io.BytesIO(gallery.thumbnail(hits[0].sighting.id) or b""))
        assert kept.format == "JPEG" and kept.size == (41, 80)


def test_a_second_run_embeds_nothing_again(tmp_path: Path, split: Split):
    embedder = Colours()
    gallery, _ = indexed(tmp_path, split[:4], embedder, camera="lobby", thumbnails=False)
    with gallery:
        assert index_records(gallery, split, embedder) == 2 and embedder.seen == 6  # pyright: ignore[reportArgumentType]
        assert gallery.cameras() == ["lobby", "town/1", "town/2"]
        assert gallery.thumbnail(gallery.ids_of([split[0].path.as_posix()])[split[0].path.as_posix()]) is None


def test_a_network_with_camera_statistics_is_told_the_cameras(tmp_path: Path, split: Split):
    embedder = Colours()
    embedder.cameras = object()  # pyright: ignore
    gallery, _ = indexed(tmp_path, split[:2], embedder)
    gallery.close()
    assert embedder.asked == [["town/1", "town/2"]]
    embedder.asked.clear()
    (tmp_path / "named").mkdir()
    gallery, _ = indexed(tmp_path / "named", split[:2], embedder, camera="lobby")
    gallery.close()
    assert embedder.asked == [["lobby", "lobby"]]


def test_a_thumbnail_is_small_and_clean():
    image = Image.new("RGBA", (512, 512), (1, 2, 3, 255))
    image.info["exif"] = b"Exif secret"
    made = make_thumbnail(image)
    assert Image.open(io.BytesIO(made)).size == (128, 128) and b"secret" not in made


def test_what_cannot_be_indexed_is_refused(tmp_path: Path, split: Split):
    with pytest.raises(UsageError, match="is not below"):
        indexed(tmp_path, split, Colours(), root=tmp_path / "elsewhere")
    gallery = Gallery.open(tmp_path / "town.gallery")
    with gallery, pytest.raises(GalleryError, match="they cannot be compared"):
        index_records(gallery, split, Colours("bbbbbbbbbbbb"))  # pyright: ignore[reportArgumentType]
    split[0].path.write_bytes(b"no image")
    with pytest.raises(ImageError):
        indexed(tmp_path, split, Colours())


def test_a_model_is_named_by_all_that_changes_its_vectors():
    from dataclasses import replace

    one, other, third = Colours(), Colours(), Colours()
    other.rule = replace(other.rule, flip=not other.rule.flip)
    third.precision = "bf16"
    eight, same = Colours(), Colours()
    eight.facts["exported"], same.facts["exported"] = "onnx int8", "onnx fp32"
    assert len({Model.of(each).fingerprint for each in (one, other, third, eight, same)}) == 4
    assert Model.of(same) == Model.of(one)
    one.facts = {}
    with pytest.raises(GalleryError, match="does not say which artefact it is"):
        Model.of(one)


@pytest.mark.parametrize("images", ["thumbnails", "sources"])
def test_another_model_takes_over(tmp_path: Path, split: Split, images):
    gallery, _ = indexed(tmp_path, split, Colours(), track=lambda record: f"t{record.pid}")
    with gallery:
        ids = list(gallery.ids_of([record.path.as_posix() for record in split]).values())
        ann = gallery.create_identity("Ann", ids[:2])
        new = Colours("bbbbbbbbbbbb", 2)
        assert gallery.re_embed(new, images=images) == 6
        assert gallery.model == Model.of(new) and gallery.members(ann) == sorted(ids[:2])
        assert gallery.search(np.array([0, 0, 1, 0.5, 0.5]), 1)[0][0].sighting.track == "t3"


def test_a_crop_out_of_a_picture_is_embedded_from_its_box(tmp_path: Path):
    from passerby.gallery import NewSighting

    picture = Image.new("RGB", (100, 100), (250, 0, 0))
    picture.paste((0, 250, 0), (20, 30, 40, 70))
    picture.save(tmp_path / "whole.png")
    with Gallery.open(tmp_path / "g", create=True, model=Model("m", "m", 2)) as gallery:
        (id,) = gallery.add([NewSighting("a", np.ones(2), "c", source=str(tmp_path / "whole.png"), box=(20, 30, 20, 40))])
        with pytest.raises(GalleryError, match=r"1 sightings have no thumbnail \(a\): index them again"):
            gallery.re_embed(Colours())
        gallery.re_embed(Colours(), images="sources")
        assert gallery.vectors([id])[0][1] > 0.8
        (tmp_path / "whole.png").unlink()
        with pytest.raises(GalleryError, match="no image file as their source"):
            gallery.re_embed(Colours(), images="sources")


def test_rows_that_change_meanwhile_stop_it(tmp_path: Path, split: Split):
    embedder = Colours()
    gallery, _ = indexed(tmp_path, split[:3], embedder)
    with gallery:

        class Meddling(Colours):
            def __call__(self, images, camera=None):
                with Gallery.open(tmp_path / "town.gallery") as other:
                    other.erase_sightings([min(other.ids_of([record.path.as_posix() for record in split]).values())])
                return super().__call__(images, camera)

        with pytest.raises(GalleryError, match="changed while it was embedded: nothing was kept"):
            gallery.re_embed(Meddling("bbbbbbbbbbbb"))
        assert gallery.model == Model.of(embedder)
