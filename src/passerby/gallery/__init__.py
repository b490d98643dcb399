"""Galleries: crops of people in a store, searched by vector, camera and time, and put in order by people.

`Gallery.open(url)` is the way in; `rows` has what goes in and comes out.
"""

from passerby.gallery.gallery import Gallery
from passerby.gallery.rows import Event, Hit, Identity, Model, NewSighting, Sighting, Thresholds, Track, clock
from passerby.gallery.transitions import Transitions

__all__ = [
    "Event",
    "Gallery",
    "Hit",
    "Identity",
    "Model",
    "NewSighting",
    "Sighting",
    "Thresholds",
    "Track",
    "Transitions",
    "clock",
]
