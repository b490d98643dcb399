"""What the pages of docs/ name, small: a data set, runs, a gallery, films, weights of other projects. Each is made once."""

import contextlib
import io
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from passerby.cli import main

TESTS = Path(__file__).parents[1]
TINY = ["--height", "64", "--width", "32", "--epochs", "1", "--batch-size", "8", "--workers", "0", "--device", "cpu"]
GATES = ["--meta-train-domains", "1", "--meta-batch-size", "16", "--first-base-updates", "1"]
SMALL_NET = ["--backbone", "osnet_x0_25", "--weights", "scratch", "--last-stride", "2"]
START = 1795251600.0  # 2026-11-21T09:00:00 UTC
SUFFIXES = {
    **dict.fromkeys(("both", "other_both", "more", "street_both"), ".npz"), "both_mat": ".mat", "cloud": ".obj",
    **dict.fromkeys(("film", "next_film"), ".mp4"), **dict.fromkeys(("crop", "other_crop"), ".jpg"),
}  # fmt: skip


def told(*words: object) -> None:
    """Run a verb that must work."""
    with contextlib.redirect_stdout(io.StringIO()):
        assert main([str(word) for word in words]) == 0, words


class Stock:
    """Things by name, each made when it is first asked for, in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made: dict[str, Path] = {}

    def __call__(self, name: str) -> Path:
        """Where the thing lies."""
        if name not in self.made:
            make: Callable[[Path], None] = getattr(self, f"_{name}")
            path = (self.root / name).with_suffix(SUFFIXES.get(name, ""))
            make(path)
            self.made[name] = path
        return self.made[name]

    def put(self, name: str, place: Path) -> None:
        """Copy the thing there."""
        first, *inside = name.split("/")
        source = self(first).joinpath(*inside)
        place.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, place)

    def _people(self, path: Path) -> None:
        from passerby.datasets.drawn import DrawnOptions, make_drawn

        make_drawn(path, DrawnOptions(6, 5, 2, 2, 2, 1, 64))
        seen = path / "gt_bbox"  # more pictures of each query's person in its camera
        seen.mkdir()
        for query in (path / "query").iterdir():
            for shot in range(2):
                shutil.copy(query, seen / f"{query.stem}_{shot}.jpg")

    def _duke(self, path: Path) -> None:
        """Other pictures than those of the people: a place is not adapted to itself."""
        for folder in ("bounding_box_train", "query", "bounding_box_test"):
            (path / folder).mkdir(parents=True)
            for image in (self("people") / folder).glob("0[01]*.jpg"):
                pid, camera, frame, _ = image.stem.split("_")
                if pid != "0000":
                    mirrored = ImageOps.mirror(Image.open(image))
                    mirrored.save(path / folder / f"{pid}_{camera[:2]}_f{frame}{image.stem[-2:]}.jpg")

    def _grid(self, path: Path) -> None:
        from scipy.io import savemat

        for person in range(1, 11):
            for folder, camera in (("probe", 1), ("gallery", 2)):
                noise = np.random.default_rng(10 * person + camera).integers(0, 256, (32, 16, 3), dtype=np.uint8)
                (path / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise).save(path / folder / f"{person:04d}_{camera}_x.png")
        cells = np.empty((1, 3), dtype=object)
        for number, people in enumerate([range(1, 6), range(3, 8), range(6, 11)]):
            struct = np.zeros((1, 1), dtype=[("a", object), ("b", object), ("c", object)])
            struct[0, 0] = (np.array([[9]]), np.array([[9]]), np.array([[*people]]))
            cells[0, number] = struct
        savemat(path / "features_and_partitions.mat", {"trainIdxAll": cells})

    def _crop(self, path: Path) -> None:
        shutil.copy(next(iter(sorted((self("people") / "query").iterdir()))), path)

    def _other_crop(self, path: Path) -> None:
        shutil.copy(sorted((self("people") / "query").iterdir())[-1], path)

    def _crops(self, path: Path) -> None:
        """Without labels; the names say the camera."""
        path.mkdir()
        for image in (self("people") / "bounding_box_test").glob("00*.jpg"):
            shutil.copy(image, path)

    def _run(self, path: Path) -> None:
        self._trained(path, "baseline", "--data", self("people"), "--head", "bnneck")

    def _other_run(self, path: Path) -> None:
        self._trained(path, "baseline", "--data", self("people"), "--head", "bnneck", "--random-erasing", 0.5)

    def _calibrated_run(self, path: Path) -> None:
        shutil.copytree(self("run"), path)
        told("calibrate", path / "artefact", "--data", self("people"), "--device", "cpu", "--far", 0.2)

    def _trained(self, path: Path, *words: object) -> None:
        told("train", *words, *SMALL_NET, *TINY, "--out", path)
        told("embed", path / "artefact", "--data", self("people"), "--out", path / "embeddings", "--device", "cpu")

    def _both(self, path: Path) -> None:
        self._stored().save(path)

    def _both_mat(self, path: Path) -> None:
        self._stored().save(path)

    def _other_both(self, path: Path) -> None:
        self._stored(noise=1.2).save(path)

    def _more(self, path: Path) -> None:
        from passerby.embeddings import Embeddings

        both = self._stored()
        Embeddings.concatenate([both.query, both.gallery]).save(path)

    def _stored(self, noise: float = 0.8) -> Any:
        from passerby.embeddings import Embeddings, QueryGallery

        random, pids = np.random.default_rng(0), np.repeat(np.arange(1, 31), 6)
        vectors = random.standard_normal((30, 12))[pids - 1] + noise * random.standard_normal((180, 12))
        rows = np.arange(180)
        both = Embeddings(vectors, pids, rows % 3, [f"{row:03}.jpg" for row in rows])
        return QueryGallery(both[rows % 6 == 0], both[rows % 6 > 0])

    def _street(self, path: Path) -> None:
        words = ["--ids", 4, "--views", 2, "--size", "32x64", "--workers", 1, "--clouds", "npz", "--cloud-height", 16]
        told("street", "render", "--town", "campus", *words, "--out", path)

    def _street_both(self, path: Path) -> None:
        from passerby.embeddings import Embeddings, QueryGallery

        folder = path.with_suffix("")
        told("embed", self("run") / "artefact", "--data", self("street"), "--out", folder, "--device", "cpu")
        QueryGallery(*(Embeddings.load(folder / f"{part}.npz") for part in ("query", "gallery"))).save(path)

    def _clouds(self, path: Path) -> None:
        """The drawn people as leaning boards of points, in the published tree."""
        told("lift", self("people"), "--out", path, "--form", "obj", "--lifter", "template", "--height", 16, "--workers", 1)

    def _cloud(self, path: Path) -> None:
        shutil.copy(next(iter(sorted(self("clouds").glob("query/*/*.obj")))), path)

    def _objects(self, path: Path) -> None:
        corners = "0 0 0\n1 0 0\n0 1 0\n0 0 {}\n"
        for kind, height in (("chair", 1), ("table", 3)):
            for subset, count in (("train", 4), ("test", 2)):
                for number in range(count):
                    (path / kind / subset).mkdir(parents=True, exist_ok=True)
                    faces = "3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"
                    text = f"OFF\n4 4 0\n{corners.format(height + 0.1 * number)}{faces}"
                    (path / kind / subset / f"{kind}_{number}.off").write_text(text)

    def _masks(self, path: Path) -> None:
        for image in sorted(self("people").rglob("*.jpg")):
            place = (path / image.relative_to(self("people"))).with_suffix(".png")
            place.parent.mkdir(parents=True, exist_ok=True)
            mask = np.zeros((64, 32), np.uint8)
            mask[4:60, 8:24] = 255
            Image.fromarray(mask).save(place)

    def _bodies(self, path: Path) -> None:
        """A bent sheet of vertices for each crop, as a tool that fits bodies writes it."""
        across, down = np.meshgrid(np.linspace(-0.25, 0.25, 5), np.linspace(-0.9, 0.9, 13))
        vertices = np.stack([across.ravel(), down.ravel(), -0.1 * np.cos(4 * across.ravel())], 1)
        index = np.arange(65).reshape(13, 5)
        corners = [index[:-1, :-1], index[1:, :-1], index[:-1, 1:]], [index[1:, 1:], index[:-1, 1:], index[1:, :-1]]
        faces = np.concatenate([np.stack([each.ravel() for each in three], 1) for three in corners])
        for image in sorted(self("people").rglob("*.jpg")):
            place = path / image.relative_to(self("people")).with_name(f"{image.name}.npz")
            place.parent.mkdir(parents=True, exist_ok=True)
            np.savez(place, vertices=vertices, faces=faces, camera=np.array([0.9, 0.0, 0.0]))

    def _seen_people(self, path: Path) -> None:
        """Rendered people whom the network of `lift` finds, as Market-1501."""
        for folder, pid in (("bounding_box_train", 2), ("bounding_box_train", 3), ("query", 1), ("bounding_box_test", 1)):
            for camera, name in enumerate(("front", "side"), 1):
                (path / folder).mkdir(parents=True, exist_ok=True)
                shutil.copy(TESTS / "lifting" / f"{name}.jpg", path / folder / f"{pid:04d}_c{camera}s1_00010{camera}_00.jpg")

    def _crowd_embeddings(self, path: Path) -> None:
        told("embed", self("run") / "artefact", "--data", self("crowd"), "--out", path, "--device", "cpu")

    def _crowd(self, path: Path) -> None:
        """Enough images of each camera for its statistics."""
        from passerby.datasets.drawn import DrawnOptions, make_drawn

        make_drawn(path, DrawnOptions(6, 16, 2, 2, 0, 0, 32))

    def _demo(self, path: Path) -> None:
        """As `passerby demo` leaves it: a run in a folder, its people and its embeddings beside it."""
        shutil.copytree(self("run"), path / "run")
        shutil.move(path / "run" / "embeddings", path)
        shutil.copytree(self("people"), path / "data")

    def _gates_run(self, path: Path) -> None:
        told("train", "metabin", "--dataset", "M+D", "--data", self("sources"), *GATES, *SMALL_NET, *TINY, "--out", path)

    def _sources(self, path: Path) -> None:
        shutil.copytree(self("people"), path / "Market-1501-v15.09.15", ignore=shutil.ignore_patterns("dataset.json"))
        shutil.copytree(self("duke"), path / "DukeMTMC-reID")

    def _film(self, path: Path) -> None:
        self._filmed(path, 0)

    def _next_film(self, path: Path) -> None:
        self._filmed(path, 6)

    def _filmed(self, path: Path, first: int) -> None:
        """Six pictures of the film of the rendered market in docs/."""
        import av

        with av.open(str(TESTS.parent / "docs" / "street-market.mp4")) as film, av.open(str(path), "w") as out:
            size = film.streams.video[0]
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
            for frame in islice(film.decode(video=0), first, first + 6):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")))
            out.mux(stream.encode())

    def _frames(self, path: Path) -> None:
        import av

        path.mkdir()
        with av.open(str(self("film"))) as film:
            for number, frame in enumerate(film.decode(video=0)):
                frame.to_image().save(path / f"{number:04d}.jpg")

    def _gallery(self, path: Path) -> None:
        """By the house model: four people in the lobby and the yard, two crops a track; crops 1, 2 are one track, and so on."""
        from passerby.artefact import load
        from passerby.gallery import Gallery, Model, NewSighting

        embedder = load(device="cpu")
        images = sorted(path for path in (self("people") / "bounding_box_test").glob("00*.jpg") if path.name[:4] != "0000")
        vectors = embedder(images)
        sightings = []
        for row, image in enumerate(images):
            pid, camera = int(image.name[:4]), int(image.name.split("_c")[1][0])
            time = START + 600 * pid + 3600 * camera
            for shot in range(2):
                key, place = f"{image.name} {shot}", ("lobby", "yard")[camera - 1]
                sightings.append(
                    NewSighting(
                        key, vectors[row] + 1e-3 * shot, place, time + shot, f"{pid} {place}", thumbnail=image.read_bytes()
                    )
                )
        with Gallery.open(path, create=True, model=Model.of(embedder)) as gallery:
            gallery.add(sightings)

    def _ways(self, path: Path) -> None:
        path.write_text("from,to,seconds\nlobby,yard,40\n")

    def _cameras_csv(self, path: Path) -> None:
        path.write_text("camera,images\nlobby,lobby\ngate,gate\n")

    def _osnet(self, path: Path) -> None:
        from passerby.models import build_backbone

        torch.manual_seed(0)
        body: Any = build_backbone("osnet_x1_0", image_size=(256, 128))
        head = {"fc.0": torch.nn.Linear(512, 512), "fc.1": torch.nn.BatchNorm1d(512), "classifier": torch.nn.Linear(512, 7)}
        content = dict(body.body.state_dict())
        for name, module in head.items():
            content |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        torch.save(content, path)

    def _layumi(self, path: Path) -> None:
        path.mkdir()
        head = {"add_block.0": torch.nn.Linear(512, 40), "add_block.1": torch.nn.BatchNorm1d(40)}
        content = {f"model.{name}": value for name, value in _resnet18().items()}
        for name, module in head.items():
            content |= {f"classifier.{name}.{key}": value for key, value in module.state_dict().items()}
        torch.save(content, path / "net_last.pth")
        (path / "opts.yaml").write_text("stride: 2\nlinear_num: 40\n")

    def _fast_reid(self, path: Path) -> None:
        neck = torch.nn.BatchNorm1d(512).state_dict()
        content = {f"backbone.{name}": value for name, value in _resnet18().items() if not name.startswith("fc.")}
        content |= {f"heads.bottleneck.0.{name}": value for name, value in neck.items()}
        torch.save({"model": content | {"heads.weight": torch.zeros(7, 512)}}, path)

    def _resnet(self, path: Path) -> None:
        torch.save(_resnet18(), path)


def _resnet18() -> dict[str, torch.Tensor]:
    from passerby.torchvision_repair import repair_torchvision

    repair_torchvision()
    from torchvision.models import resnet18

    torch.manual_seed(0)
    return dict(resnet18().state_dict())


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return Stock(tmp_path_factory.mktemp("stock"))
