"""The page under many searchers, and its JSON interface under requests that were made to break it.

    python benchmarks/web.py load                          # 50 searchers for two minutes on loopback
    python benchmarks/web.py load --seconds 10 --rows 100000 --json FILE
    python benchmarks/web.py cost                          # CPU time of one answer
    python benchmarks/web.py fuzz --seconds 60             # needs schemathesis: pip install schemathesis

`load` serves a drawn gallery from a process of its own, as `passerby serve` does, with MobileNetV2 as the model (its weights are
drawn: that takes as long as trained ones) and the detector of the package. Each searcher goes on as soon as it has its answer,
as nobody does: searches with a stored crop under filters, with all the pictures on the page; sends a crop; sends a whole picture
in which people are found; confirms and takes back. Reported are errors (there must be none) and the times of each kind.

`fuzz` sends what schemathesis makes of the OpenAPI description, against a drawn gallery; an answer of 500 or more fails.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

CAMERAS = ["gate", "lobby", "yard", "stairs", "garage", "shop"]
START = 1_795_251_600.0
CROPS = 5  # a track


def drawn_picture(seed: int, size: tuple[int, int]) -> bytes:
    from PIL import Image

    low = np.random.default_rng(seed).integers(0, 255, (8, 4, 3), np.uint8)
    written = io.BytesIO()
    Image.fromarray(low).resize(size).save(written, "JPEG", quality=85)
    return written.getvalue()


def draw_gallery(path: Path, rows: int, dim: int, fingerprint: str) -> None:
    """Tracks of `CROPS` crops, with thumbnails of the usual size."""
    from passerby.gallery import Gallery, Model, NewSighting, Thresholds

    rng = np.random.default_rng(0)
    thumbnails = [drawn_picture(n, (64, 128)) for n in range(50)]
    with Gallery.open(path, create=True, model=Model(fingerprint, "drawn", dim)) as gallery:
        gallery.set_thresholds(Thresholds(0.6, 0.3))
        for start in range(0, rows, 5000):
            block = []
            for n in range(start, min(start + 5000, rows)):
                track = n // CROPS
                if n % CROPS == 0 or n == start:
                    centre = rng.standard_normal(dim)
                vector = centre + 0.6 * rng.standard_normal(dim)
                camera = CAMERAS[track % len(CAMERAS)]
                block.append(NewSighting(
                    str(n), vector, camera, START + 3.0 * n, f"t{track}", quality=0.5, source=f"{camera}.mp4", frame=n,
                    thumbnail=thumbnails[n % 50],
                ))  # fmt: skip
            gallery.add(block)


def serve(path: Path, model: bool) -> None:
    """The server's process."""
    from passerby.web import serving
    from passerby.web.looking import Looking
    from passerby.web.opened import OpenGallery
    from passerby.web.service import Service

    embedder = detector = None
    if model:
        from passerby.embedder import Embedder
        from passerby.models import ModelConfig, build_model
        from passerby.transforms import Preprocess
        from passerby.video import open_detector

        embedder = Embedder(build_model(ModelConfig("mobilenet_v2", (128, 64), head="bnneck")), Preprocess((128, 64)))
        detector = open_detector()
    opened = OpenGallery(str(path))
    serving.serve(Service(opened, Looking(embedder, detector)), "127.0.0.1", 0)


class Searcher:
    """One visitor: asks, looks at the pictures, asks again."""

    def __init__(self, client: Any, rows: int, seed: int, times: dict[str, list[float]], wrong: list[str]) -> None:
        self.client, self.rows, self.chance = client, rows, random.Random(seed)
        self.times, self.wrong, self.csrf = times, wrong, ""

    async def ask(self, kind: str, method: str, url: str, expected: tuple[int, ...] = (200,), **given: Any) -> Any:
        began = time.perf_counter()
        try:
            answer = await self.client.request(method, url, **given)
        except Exception as error:  # noqa: BLE001 (whatever goes wrong is counted)
            self.wrong.append(f"{kind}: {type(error).__name__} {error}")
            return None
        self.times[kind].append(time.perf_counter() - began)
        if answer.status_code not in expected:
            text = " ".join(re.sub(r"<[^>]*>", " ", answer.text[-400:]).split())
            self.wrong.append(f"{kind}: {answer.status_code} {text}")
        return answer

    async def start(self) -> None:
        await self.ask("home", "GET", "/")
        page = await self.ask("identities", "GET", "/identities")
        self.csrf = re.findall(r'name="csrf" value="(\w+)"', page.text)[0]

    async def once(self, uploads: bool) -> None:
        what = self.chance.random()
        if uploads and what < 0.08:
            await self.send("a crop sent", (64, 128), "crop")
        elif uploads and what < 0.1:
            await self.send("a whole picture sent", (640, 360), "picture")
        elif what < 0.2:
            await self.judge()
        else:
            await self.search()

    async def search(self) -> None:
        chance = self.chance
        asked: list[tuple[str, Any]] = [("like", chance.randint(1, self.rows))]
        if chance.random() < 0.4:
            asked.append(("camera", chance.choice(CAMERAS)))
        elif chance.random() < 0.5:
            asked.append(("not_camera", chance.choice(CAMERAS)))
        if chance.random() < 0.15:
            asked.append(("rerank", "true"))
        page = await self.ask("search", "GET", "/search", params=asked)
        if page is not None:
            pictures = list(dict.fromkeys(re.findall(r"/thumbnails/\d+\.jpg", page.text)))
            for url in pictures:
                await self.ask("thumbnail", "GET", url)

    async def judge(self) -> None:
        """Confirm a crop as somebody, and take it back; another searcher may have done something in between."""
        like, other = self.chance.sample(range(1, self.rows + 1), 2)
        fields = {"csrf": self.csrf, "like": str(like), "id": str(other), "group": "row", "k": "5"}
        answer = await self.ask("confirm", "POST", "/confirm", (303, 400), data=fields)
        found = re.search(r"did=(\d+)", answer.headers.get("location", "")) if answer is not None else None
        if found:
            await self.ask("undo", "POST", "/undo", (303, 400), data={"csrf": self.csrf, "event": found[1]})

    async def send(self, kind: str, size: tuple[int, int], how: str) -> None:
        content = drawn_picture(self.chance.randint(0, 999), size)
        files, data = {"picture": ("a.jpg", content, "image/jpeg")}, {"csrf": self.csrf, "kind": how}
        answer = await self.ask(kind, "POST", "/upload", (303,), data=data, files=files)
        if answer is not None and answer.status_code == 303:
            await self.ask("hits of it", "GET", answer.headers["location"])


async def searching(url: str, searchers: int, seconds: float, rows: int, uploads: bool) -> tuple[dict, list[str], float]:
    import httpx2 as httpx

    times: dict[str, list[float]] = defaultdict(list)
    wrong: list[str] = []
    ends = time.perf_counter() + seconds

    async def visit(seed: int) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60.0) as client:
            visitor = Searcher(client, rows, seed, times, wrong)
            await visitor.start()
            while time.perf_counter() < ends:
                await visitor.once(uploads)

    began = time.perf_counter()
    await asyncio.gather(*(visit(seed) for seed in range(searchers)))
    return times, wrong, time.perf_counter() - began


def load(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.gallery"
        draw_gallery(path, options.rows, 1280, "drawn")
        command = [sys.executable, __file__, "serve", str(path), *([] if options.no_model else ["--model"])]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            said = server.stdout.readline()
            url = said.split()[1].rstrip("/")
            before = os.getloadavg()[0]
            times, wrong, took = asyncio.run(
                searching(url, options.searchers, options.seconds, options.rows, not options.no_model)
            )
            memory = _memory_mb(server.pid)
        finally:
            server.terminate()
            server.wait()
    facts = {
        "searchers": options.searchers, "seconds": round(took, 1), "rows": options.rows, "dim": 1280, "errors": len(wrong),
        "requests": sum(map(len, times.values())), "load before": before, "server MB": memory,
        "kinds": {kind: _summary(found) for kind, found in sorted(times.items())},
    }  # fmt: skip
    print(f"{options.searchers} searchers for {took:.0f} s, {options.rows:,} crops x 1280; load before: {before:.1f}")
    print(f"{facts['requests']:,} requests ({facts['requests'] / took:.0f} a second), {len(wrong)} errors, server {memory} MB")
    for kind, each in facts["kinds"].items():
        print(f"  {kind:<22}{each['count']:>7}   ms: p50 {each['p50_ms']:>6}   p95 {each['p95_ms']:>6}   p99 {each['p99_ms']:>6}")
    for line in wrong[:10]:
        print("  wrong:", line)
    if options.json:
        options.json.write_text(json.dumps(facts, indent=1) + "\n")
    return bool(wrong)


def _summary(times: list[float]) -> dict[str, int]:
    p50, p95, p99 = (round(1000 * float(np.percentile(times, q))) for q in (50, 95, 99))
    return {"count": len(times), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


def _memory_mb(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return int(re.findall(r"VmHWM:\s+(\d+)", text)[0]) // 1024


def cost(options: argparse.Namespace) -> int:
    """CPU time of one answer, which other work on the machine changes little."""
    from starlette.testclient import TestClient

    from passerby.web.app import make_app
    from passerby.web.opened import OpenGallery
    from passerby.web.service import Service

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.gallery"
        draw_gallery(path, options.rows, 1280, "drawn")
        service = Service(OpenGallery(str(path)))
        service.warm()
        with TestClient(make_app(service, names=["testserver"])) as client:
            for url in ("/", "/thumbnails/7.jpg", "/search?like=7", "/search?like=7&camera=yard", "/search?like=7&rerank=true"):
                client.get(url)
                began = time.process_time()
                for _ in range(20):
                    client.get(url)
                print(f"{url:<30}{50 * (time.process_time() - began):7.1f} ms of CPU")
        service.opened.close()
    return 0


def fuzz(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.gallery"
        draw_gallery(path, 200, 1280, "drawn")
        command = [sys.executable, __file__, "serve", str(path), "--model"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            url = server.stdout.readline().split()[1].rstrip("/")
            return subprocess.run([
                sys.executable, "-m", "schemathesis.cli", "run", f"{url}/api/v1/openapi.json", "--header", "X-Passerby: 1",
                "--checks", "not_a_server_error", "--max-time", str(int(options.seconds)),
                "--max-examples", str(options.examples), "--seed", "0", "--no-color", "--suppress-health-check", "all",
            ], cwd=folder).returncode  # fmt: skip
        finally:
            server.terminate()
            server.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, dest="verb")
    loading = verbs.add_parser("load")
    loading.add_argument("--searchers", type=int, default=50)
    loading.add_argument("--seconds", type=float, default=120.0)
    loading.add_argument("--rows", type=int, default=20_000)
    loading.add_argument("--no-model", action="store_true", help="no pictures are sent")
    loading.add_argument("--json", type=Path)
    costing = verbs.add_parser("cost")
    costing.add_argument("--rows", type=int, default=20_000)
    fuzzing = verbs.add_parser("fuzz")
    fuzzing.add_argument("--seconds", type=float, default=60.0)
    fuzzing.add_argument("--examples", type=int, default=200, help="of each operation")
    serving = verbs.add_parser("serve")
    serving.add_argument("gallery", type=Path)
    serving.add_argument("--model", action="store_true")
    options = parser.parse_args()
    if options.verb == "serve":
        serve(options.gallery, options.model)
        return 0
    return {"load": load, "cost": cost, "fuzz": fuzz}[options.verb](options)


if __name__ == "__main__":
    sys.exit(main())
