"""What makes each of the six towns look like itself, as one literal table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TOWNS", "TownStyle"]

Span = tuple[float, float]


@dataclass(frozen=True)
class TownStyle:
    """What makes a town look like itself; spans are (lowest, highest), drawn once for each place or camera.

    Attributes:
        title: one line for lists.
        wardrobe: a key of `clothes.WARDROBES`.
        cameras, places: how many; several cameras may look at one place.
        crowd: people who are in a place at once, on average.
        grounds, verges: textures underfoot and beside.
        fronts: (texture, base, height in metres) of the walls; an empty texture leaves that side open.
        behind: furniture along the far edge; before: between the cameras and the people, where it hides them.
        ceiling: texture of a roof; empty outdoors.
        sun_elevation_deg, sun_azimuth_deg, sun, sky, ground, horizon: see `render.Light`.
        sun_share: share of places that the sun reaches.
        haze_per_m: see `render.Light`.
        width_m: of the walkway.
        height_m, person_px: how high cameras hang, and how tall a person is in the middle of their picture.
        frames: frame sizes to choose from.
        exposure, cast, gamma, contrast, lift, saturation, blur_px, sharpen, noise, quality: see `cameras.Response`; `cast` is
            the deviation around `tint`.
        tint: the cast that all cameras share.
        jitter, truncation: see `cameras.Detector`.
    """

    title: str
    wardrobe: str
    cameras: int
    places: int
    crowd: float
    grounds: tuple[str, ...]
    verges: tuple[str, ...]
    fronts: tuple[tuple[str, str, float], ...]
    behind: tuple[str, ...]
    before: tuple[str, ...]
    ceiling: str
    sun_elevation_deg: float
    sun_azimuth_deg: float
    sun: tuple[float, float, float]
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]
    horizon: tuple[float, float, float]
    sun_share: float = 1.0
    haze_per_m: float = 0.001
    width_m: Span = (4.0, 6.0)
    height_m: Span = (2.2, 4.5)
    person_px: Span = (100, 220)
    frames: tuple[tuple[int, int], ...] = ((1280, 720), (960, 540), (704, 576))
    exposure: Span = (0.8, 1.25)
    cast: float = 0.05
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: Span = (0.9, 1.15)
    contrast: Span = (0.9, 1.15)
    lift: Span = (0.0, 0.06)
    saturation: Span = (0.6, 1.0)
    blur_px: Span = (0.4, 1.1)
    sharpen: Span = (0.0, 0.6)
    noise: Span = (1.0, 5.0)
    quality: tuple[int, int] = (40, 88)
    jitter: Span = (0.015, 0.035)
    truncation: Span = (0.03, 0.1)


TOWNS: dict[str, TownStyle] = {
    "arcade": TownStyle(
        title="shopping arcade: tiles, lit shop windows, warm lamps",
        wardrobe="office",
        cameras=5,
        places=3,
        crowd=4.0,
        grounds=("tiles", "slabs", "dark tiles"),
        verges=("tiles", "dark tiles"),
        fronts=(("plaster", "shop", 4.6), ("plaster", "shop", 4.6), ("tiles", "shop", 4.6)),
        behind=("bench", "planter", "board", "bin", "column"),
        before=("column", "planter", "board"),
        ceiling="white",
        sun_elevation_deg=78,
        sun_azimuth_deg=40,
        sun=(0.35, 0.31, 0.25),
        sky=(0.62, 0.56, 0.48),
        ground=(0.34, 0.3, 0.26),
        horizon=(0.5, 0.46, 0.4),
        haze_per_m=0.0,
        width_m=(5.0, 7.0),
        height_m=(2.2, 3.6),
        person_px=(100, 210),
        tint=(1.06, 1.0, 0.9),
        contrast=(0.85, 1.05),
        saturation=(0.7, 1.05),
    ),
    "campus": TownStyle(
        title="university in spring: lawns, brick, trees, sun and shade",
        wardrobe="campus",
        cameras=6,
        places=5,
        crowd=2.5,
        grounds=("slabs", "asphalt", "gravel"),
        verges=("grass", "grass", "asphalt"),
        fronts=(("brick house", "", 9.6), ("office", "", 9.9), ("office", "", 9.9), ("hedge", "", 2.2), ("", "", 0)),
        behind=("tree", "bench", "hedge", "lamp", "sign", "bin"),
        before=("bollard", "lamp", "sign", "hedge", "post"),
        ceiling="",
        sun_elevation_deg=42,
        sun_azimuth_deg=205,
        sun=(1.5, 1.4, 1.2),
        sky=(0.42, 0.48, 0.58),
        ground=(0.2, 0.2, 0.16),
        horizon=(0.72, 0.78, 0.86),
        sun_share=0.6,
        height_m=(1.5, 4.5),
        person_px=(80, 220),
        gamma=(0.9, 1.1),
    ),
    "harbour": TownStyle(
        title="harbour front: planks, containers, haze over water, low sun",
        wardrobe="work",
        cameras=3,
        places=3,
        crowd=2.0,
        grounds=("planks", "concrete", "asphalt"),
        verges=("water", "concrete"),
        fronts=(("shutter", "", 7.0), ("bricks", "", 6.0), ("", "", 0)),
        behind=("container", "crates", "fence", "lamp", "bollard"),
        before=("fence", "bollard", "post", "crates"),
        ceiling="",
        sun_elevation_deg=24,
        sun_azimuth_deg=160,
        sun=(1.6, 1.3, 0.95),
        sky=(0.5, 0.55, 0.62),
        ground=(0.26, 0.26, 0.25),
        horizon=(0.85, 0.84, 0.82),
        haze_per_m=0.004,
        width_m=(5.0, 8.0),
        height_m=(2.5, 6.0),
        person_px=(80, 180),
        exposure=(1.0, 1.4),
        tint=(0.97, 1.0, 1.04),
        contrast=(0.8, 1.0),
        lift=(0.02, 0.07),
    ),
    "market": TownStyle(
        title="market street: stalls, awnings, cobbles, many people",
        wardrobe="summer",
        cameras=2,
        places=2,
        crowd=6.0,
        grounds=("cobbles", "slabs"),
        verges=("cobbles", "asphalt"),
        fronts=(("plaster house", "shop", 12.0), ("brick house", "shop", 12.0), ("plaster house", "", 9.6)),
        behind=("stall", "stall", "stall", "crates", "bin"),
        before=("stall", "crates", "post"),
        ceiling="",
        sun_elevation_deg=58,
        sun_azimuth_deg=250,
        sun=(1.3, 1.25, 1.15),
        sky=(0.45, 0.49, 0.55),
        ground=(0.24, 0.22, 0.19),
        horizon=(0.7, 0.74, 0.8),
        sun_share=0.5,
        height_m=(2.4, 4.2),
        person_px=(110, 210),
        saturation=(0.8, 1.1),
        truncation=(0.08, 0.14),
    ),
    "station": TownStyle(
        title="railway station: concrete, columns, neon light, cameras under the roof",
        wardrobe="office",
        cameras=8,
        places=5,
        crowd=3.5,
        grounds=("dark tiles", "concrete", "big slabs"),
        verges=("concrete", "dark"),
        fronts=(("tiles", "", 4.6), ("concrete", "", 4.6), ("shutter", "", 4.6), ("concrete", "shop", 4.6)),
        behind=("machine", "kiosk", "bench", "sign", "bin", "column"),
        before=("column", "sign", "post"),
        ceiling="concrete",
        sun_elevation_deg=80,
        sun_azimuth_deg=120,
        sun=(0.25, 0.27, 0.25),
        sky=(0.42, 0.46, 0.42),
        ground=(0.2, 0.21, 0.19),
        horizon=(0.3, 0.32, 0.3),
        haze_per_m=0.0,
        width_m=(5.0, 8.0),
        height_m=(3.0, 4.3),
        person_px=(70, 170),
        frames=((704, 576), (640, 480), (1280, 720)),
        tint=(0.95, 1.03, 0.97),
        saturation=(0.45, 0.8),
        blur_px=(0.6, 1.4),
        noise=(3.0, 8.0),
        quality=(30, 70),
    ),
    "winter": TownStyle(
        title="snowy town on a dull day: coats, bare trees, parked cars",
        wardrobe="winter",
        cameras=15,
        places=8,
        crowd=2.0,
        grounds=("snow", "snow", "asphalt", "slabs"),
        verges=("snow",),
        fronts=(("plaster house", "", 9.6), ("brick house", "shop", 9.6), ("plaster house", "shop", 9.6), ("", "", 0)),
        behind=("car", "bare tree", "lamp", "bench", "fence", "hedge"),
        before=("bollard", "lamp", "sign", "bare tree", "fence"),
        ceiling="",
        sun_elevation_deg=20,
        sun_azimuth_deg=170,
        sun=(0.22, 0.22, 0.24),
        sky=(0.62, 0.66, 0.74),
        ground=(0.4, 0.42, 0.46),
        horizon=(0.78, 0.8, 0.84),
        haze_per_m=0.004,
        height_m=(1.7, 5.5),
        person_px=(70, 200),
        exposure=(0.85, 1.35),
        tint=(0.95, 1.0, 1.07),
        contrast=(0.85, 1.1),
        lift=(0.02, 0.09),
        noise=(1.5, 6.0),
    ),
}
