"""One identity over all cameras: tracks that look alike, and that one person can have walked, become one person.

Two tracks are as similar as their crops are on average. What one person cannot do (be in two tracks of one camera at once, or in
two places faster than the ways between the cameras allow) and what a human has said keeps tracks apart, whatever they look like.
Average-linkage clustering does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passerby.errors import UsageError
from passerby.gallery.gallery import Gallery
from passerby.gallery.rows import Track
from passerby.gallery.transitions import Transitions

__all__ = ["LinkReport", "Linking", "link", "link_tracks", "track_vectors"]

_NEVER = 1e6  # a distance that no average can outweigh
_BLOCK = 2048


@dataclass(frozen=True)
class Linking:
    """How tracks are put together.

    Attributes:
        similarity: mean similarity from which on groups of tracks are one person; None takes the middle between the gallery's
            thresholds for "same" and "different": means over many crops vary less than the pairs that these were made of.
        use_time: keep apart what one person cannot have walked; otherwise similarity alone decides.
        handover_s: two tracks of one camera may overlap by so much, because trackers end one late and begin the next early.
        singles: tracks that nothing was linked to become identities too.

    Raises:
        UsageError: a value out of range.
    """

    similarity: float | None = None
    use_time: bool = True
    handover_s: float = 0.5
    singles: bool = False

    def __post_init__(self) -> None:
        if self.similarity is not None and not -1 < self.similarity <= 1:
            raise UsageError(f"linking from similarity {self.similarity} on: it is a cosine, above -1 and up to 1.")
        if self.handover_s < 0:
            raise UsageError(f"a handover of {self.handover_s} s: 0 or more.")


@dataclass(frozen=True)
class LinkReport:
    """What a linking did.

    Attributes:
        tracks: that there were.
        people: identities that tracks were put into.
        new: of these, made now.
        linked: tracks in identities of two tracks or more.
        across: identities with tracks of several cameras.
    """

    tracks: int
    people: int
    new: int
    linked: int
    across: int


def track_vectors(gallery: Gallery, tracks: Sequence[Track]) -> np.ndarray:
    """(T, D) mean of each track's vectors, not brought to length 1: products are mean similarities of their crops."""
    made = np.empty((len(tracks), gallery.model.dim), np.float32)
    for place, track in enumerate(tracks):
        made[place] = gallery.vectors(track.ids).mean(axis=0)
    return made


def link(gallery: Gallery, settings: Linking | None = None) -> LinkReport:
    """Give tracks of one person one identity, in a step that `Gallery.undo` takes back.

    Identities that exist already stay: their tracks are never put together, and further tracks may join them, though never a
    track with a crop that was rejected for the identity.

    Args:
        gallery: open for writing.
        settings: how.

    Raises:
        UsageError: no similarity given and none in the gallery.
    """
    settings = settings or Linking()
    least = settings.similarity
    if least is None:
        if gallery.thresholds is None:
            raise UsageError(
                f"{gallery.url} has no thresholds, so from which similarity on are tracks one person? Give --similarity, or "
                "calibrate the model and run: passerby gallery set GALLERY --model MODEL"
            )
        least = gallery.thresholds.middle
    tracks = gallery.tracks()
    owners = _owners(gallery, tracks)
    apart = _rejecting(gallery, tracks, owners)
    groups = link_tracks(
        track_vectors(gallery, tracks), tracks, least, gallery.transitions if settings.use_time else None,
        handover_s=settings.handover_s, owners=owners, apart=apart,
    )  # fmt: skip
    return _written(gallery, tracks, owners, groups, settings.singles)


def _owners(gallery: Gallery, tracks: Sequence[Track]) -> list[int | None]:
    """The identity that most crops of each track have."""
    of = {id: each.id for each in gallery.identities() for id in gallery.members(each.id)}
    owners: list[int | None] = []
    for track in tracks:
        own = [of[id] for id in track.ids if id in of]
        owners.append(max(sorted(set(own)), key=own.count) if own else None)
    return owners


def _rejecting(gallery: Gallery, tracks: Sequence[Track], owners: Sequence[int | None]) -> list[tuple[int, int]]:
    """Pairs of tracks of which one has a crop that was rejected for the other's identity."""
    track_of = {id: place for place, track in enumerate(tracks) for id in track.ids}
    found = []
    for identity in {owner for owner in owners if owner is not None}:
        refused = {track_of[id] for id in gallery.rejected(identity) if id in track_of}
        found += [(a, b) for a, owner in enumerate(owners) if owner == identity for b in refused if a != b]
    return found


def link_tracks(
    vectors: np.ndarray,
    tracks: Sequence[Track],
    similarity: float,
    transitions: Transitions | None,
    *,
    handover_s: float = 0.5,
    owners: Sequence[int | None] | None = None,
    apart: Sequence[tuple[int, int]] = (),
) -> list[list[int]]:
    """Groups of tracks of one person.

    Args:
        vectors: (T, D), see `track_vectors`.
        tracks: T tracks.
        similarity: mean similarity from which on two groups are one.
        transitions: ways between cameras; None: time is not looked at.
        handover_s: see `Linking`.
        owners: identity of each track where it has one: tracks of one are together, tracks of two never.
        apart: further pairs that are never together.

    Returns:
        Positions of tracks, each in one group, groups and their members in order of the first track.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    T = len(tracks)
    near = _near_pairs(vectors, similarity)
    given = [None] * T if owners is None else list(owners)
    same = [(a, b) for a, b in _owned_pairs(given)]
    pairs = np.array([*near, *same], dtype=np.int64).reshape(-1, 2)
    # Average linkage joins two groups only if some pair of them is near enough: what is not connected so never meets.
    graph = csr_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(T, T))
    _, part = connected_components(graph, directed=False)
    never = {frozenset(pair) for pair in apart}
    groups: list[list[int]] = []
    order = np.argsort(part, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(part[order])) + 1) if T else []:
        if len(members) == 1:
            groups.append(members.tolist())
            continue
        distances = _distances(vectors[members], [tracks[m] for m in members], transitions, handover_s)
        _overrule(distances, [given[m] for m in members], members.tolist(), never)
        labels = _clustered(distances, 1 - similarity)
        groups += [members[labels == label].tolist() for label in np.unique(labels)]
    return sorted(sorted(group) for group in groups)


def _near_pairs(vectors: np.ndarray, similarity: float) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start in range(0, len(vectors), _BLOCK):
        products = vectors[start : start + _BLOCK] @ vectors.T
        one, other = np.nonzero(products >= similarity)
        found += [(a + start, b) for a, b in zip(one.tolist(), other.tolist(), strict=True) if a + start < b]
    return found


def _owned_pairs(owners: Sequence[int | None]) -> list[tuple[int, int]]:
    last: dict[int, int] = {}
    found = []
    for place, owner in enumerate(owners):
        if owner is not None:
            if owner in last:
                found.append((last[owner], place))
            last[owner] = place
    return found


def _distances(vectors: np.ndarray, tracks: Sequence[Track], transitions: Transitions | None, handover_s: float) -> np.ndarray:
    """(T, T) 1 - mean similarity, or `_NEVER` where one person cannot have made both."""
    distances = np.maximum(1 - (vectors @ vectors.T).astype(np.float64), 0)
    if transitions is not None:
        distances[_impossible(tracks, transitions, handover_s)] = _NEVER
    return distances


def _impossible(tracks: Sequence[Track], transitions: Transitions, handover_s: float) -> np.ndarray:
    """(T, T) whether the time between two tracks is less than the way takes. Unknown times forbid nothing."""
    start, end = (
        np.array([np.nan if t is None else t for t in times]) for times in zip(*((t.start, t.end) for t in tracks), strict=True)
    )
    names = sorted({track.camera for track in tracks})
    camera = np.array([names.index(track.camera) for track in tracks])
    # Of a way that nothing is known of only this is sure: nobody is in two places at one time.
    least = np.array([[_least_s(transitions, a, b, handover_s) for b in names] for a in names])
    ways = least[camera[:, None], camera[None, :]]
    gap = start[None, :] - end[:, None]  # from the end of the row's track to the start of the column's
    first = start[:, None] <= start[None, :]
    too_fast = first & (gap < ways)
    return too_fast | too_fast.T


def _least_s(transitions: Transitions, one: str, other: str, handover_s: float) -> float:
    if one == other:
        return -handover_s
    known = transitions.least_s(one, other)
    return 0.0 if known is None else known if known > 0 else -np.inf


def _overrule(distances: np.ndarray, owners: Sequence[int | None], members: Sequence[int], never: set[frozenset[int]]) -> None:
    """What a human has said counts more than looks and times."""
    for a, owner in enumerate(owners):
        for b in range(a):
            other = owners[b]
            if owner is not None and other is not None:
                distances[a, b] = distances[b, a] = 0.0 if owner == other else _NEVER
            elif frozenset((members[a], members[b])) in never:
                distances[a, b] = distances[b, a] = _NEVER


def _clustered(distances: np.ndarray, limit: float) -> np.ndarray:
    from sklearn.cluster import AgglomerativeClustering

    np.fill_diagonal(distances, 0)
    clustering = AgglomerativeClustering(
        None,  # pyright: ignore[reportArgumentType]  # as many as there are
        metric="precomputed",
        linkage="average",
        distance_threshold=np.nextafter(limit, 3),
    )
    return clustering.fit_predict(distances)


def _written(
    gallery: Gallery, tracks: Sequence[Track], owners: Sequence[int | None], groups: Sequence[Sequence[int]], singles: bool
) -> LinkReport:
    wanted: list[list[int]] = []
    into: list[int | None] = []
    linked = across = 0
    for group in groups:
        owner = next((owners[t] for t in group if owners[t] is not None), None)
        if len(group) == 1 and owner is None and not singles:
            continue
        wanted.append([id for t in group if owners[t] is None for id in tracks[t].ids])
        into.append(owner)
        linked += len(group) if len(group) > 1 else 0
        across += len({tracks[t].camera for t in group}) > 1
    if any(wanted):
        changed = [place for place, ids in enumerate(wanted) if ids]
        gallery.link([wanted[place] for place in changed], [into[place] for place in changed])
    return LinkReport(len(tracks), len(wanted), sum(owner is None for owner in into), linked, across)
