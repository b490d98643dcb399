"""From one image of a person to a coloured cloud of points, on a CPU.

from passerby.lifting import lift, open_lifter

cloud = lift(open_lifter("anny"), image)      # (H, W, 3) uint8 -> PointCloud, or Refused with its reason
"""

from passerby.lifting.colouring import colour
from passerby.lifting.lifter import Crop, Lifted, Lifter, Refused
from passerby.lifting.opening import LIFTERS, LifterOptions, lift, open_lifter
from passerby.lifting.projection import PinholeCamera, WeakCamera

__all__ = [
    "LIFTERS",
    "Crop",
    "Lifted",
    "Lifter",
    "LifterOptions",
    "PinholeCamera",
    "Refused",
    "WeakCamera",
    "colour",
    "lift",
    "open_lifter",
]
