"""Ten searches in a gallery on one sheet, to be looked at: does the same person come first, and who else comes?

    passerby index film.mp4                                   # into people.gallery
    python examples/contact_sheet.py people.gallery --out sheet.png

Ten tracks are taken evenly from all; the best crop of each is searched for with `passerby search`, as a user would, and the
pictures that it draws are put below each other. The first hit of each is the track that was asked with; the others are to be
judged by eye. The sheet shows people: keep it as long as the film, and no longer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image

from passerby.cli import main as passerby
from passerby.errors import PasserbyError
from passerby.gallery import Gallery


def questions(gallery: Path, count: int, folder: Path) -> list[Path]:
    """The best crop of tracks that lie evenly among all, as files."""
    with Gallery.open(gallery, read_only=True) as opened:
        tracks = [track for track in opened.tracks() if any(opened.thumbnail(number) for number in track.ids)]
        step = max(1, len(tracks) / count)
        chosen = [tracks[int(step * place)] for place in range(min(count, len(tracks)))]
        paths = []
        for track in chosen:
            rows = sorted(opened.sightings(list(track.ids)), key=lambda row: -row.quality)
            crop = next(kept for kept in (opened.thumbnail(row.id) for row in rows) if kept)
            paths.append(folder / f"{len(paths):02d} {track.name.replace('/', '-')}.jpg")
            paths[-1].write_bytes(crop)
    return paths


def below_each_other(pictures: list[Path], out: Path) -> None:
    """One sheet of pictures, aligned to the left."""
    opened = [Image.open(path).convert("RGB") for path in pictures]
    sheet = Image.new("RGB", (max(one.width for one in opened), sum(one.height for one in opened)), "white")
    top = 0
    for one in opened:
        sheet.paste(one, (0, top))
        top += one.height
    sheet.save(out)


def main() -> None:
    """Ask, draw, join."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    parser.add_argument("--queries", type=int, default=10)
    parser.add_argument("--hits", type=int, default=8, help="of each query, one a track")
    parser.add_argument("--model", help="the one that the gallery was made with (default: the house model)")
    given = parser.parse_args()
    if given.queries < 1 or given.hits < 1:
        sys.exit(f"--queries is {given.queries}, --hits {given.hits}: each is 1 or more.")
    if given.out.suffix.lower() not in (".png", ".jpg") or not given.out.absolute().parent.is_dir():
        sys.exit(f"--out is {given.out}: give a .png or .jpg file in a folder that is there.")
    with tempfile.TemporaryDirectory() as made:
        try:
            crops = questions(given.gallery, given.queries, Path(made))
        except PasserbyError as error:
            sys.exit(str(error))
        if not crops:
            sys.exit(f"{given.gallery} holds no track with a picture: index a film with passerby index first.")
        pictures = [crop.with_suffix(".png") for crop in crops]
        for crop, picture in zip(crops, pictures, strict=True):
            words = ["search", str(crop), "--gallery", str(given.gallery), "-k", str(given.hits), "--out", str(picture)]
            words += ["--model", given.model] if given.model else []
            if status := passerby(words):
                sys.exit(status)
        below_each_other(pictures, given.out)
    print(given.out)


if __name__ == "__main__":
    main()
