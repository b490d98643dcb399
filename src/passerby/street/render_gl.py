"""The renderer on OpenGL 3.3 through EGL: on a GPU where there is one, on Mesa's software renderer elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from passerby.errors import MissingDependencyError
from passerby.street.glsl import DRAW_FRAGMENT, DRAW_VERTEX, MEAN_FRAGMENT, MEAN_VERTEX
from passerby.street.raster import Soup, soup
from passerby.street.render import DrawItem, Layer, Light, View
from passerby.street.shading import COLUMNS, pack_light, pack_materials
from passerby.street.shadows import ShadowMap, cast

__all__ = ["GLRenderer"]

_ADVICE = 'Use the numba renderer, or install the "street" extra and an EGL library (Debian: libegl1, libgl1-mesa-dri)'
_GROW = 64  # buffers are made in multiples of this many pixels, because crops come in all sizes


class GLRenderer:
    """Draws with OpenGL; see `render.Renderer`. One thread, one renderer.

    Raises:
        MissingDependencyError: moderngl is not installed, or no OpenGL 3.3 context can be made.
    """

    name = "gl"

    def __init__(self) -> None:
        try:
            import moderngl
        except ImportError as absent:
            raise MissingDependencyError(f"OpenGL renderer: the package moderngl is not installed. {_ADVICE}") from absent
        self._gl: Any = moderngl
        try:
            self._context: Any = self._gl.create_standalone_context(backend="egl", require=330)
        except Exception as broken:  # drivers fail in any way they like, and each means that there is no GL here
            raise MissingDependencyError(f"OpenGL renderer: no context could be made ({broken}). {_ADVICE}") from broken
        self._context.front_face = "cw"  # rows run down in memory, so the picture is drawn upside down
        self._draw: Any = self._context.program(vertex_shader=DRAW_VERTEX, fragment_shader=DRAW_FRAGMENT)
        self._mean: Any = self._context.program(vertex_shader=MEAN_VERTEX, fragment_shader=MEAN_FRAGMENT)
        self._screen: Any = self._context.vertex_array(self._mean, [])
        self._targets: dict[str, Any] = {}
        self._room: tuple[int, int] = (0, 0)

    @property
    def software(self) -> bool:
        """Whether the CPU draws."""
        device = str(self._context.info["GL_RENDERER"]).lower()
        return any(word in device for word in ("llvmpipe", "softpipe", "swrast", "software"))

    def draw(
        self,
        items: Sequence[DrawItem],
        view: View,
        light: Light,
        samples: int = 2,
        limit: np.ndarray | None = None,
        shadows: ShadowMap | None = None,
    ) -> Layer:
        """See `render.Renderer.draw`."""
        width, height = view.width, view.height
        triangles = soup(items)
        if not len(triangles.faces):
            nothing = np.zeros((height, width), np.float32)
            return Layer(
                np.zeros((height, width, 3), np.float32), nothing, nothing + np.inf, np.full((height, width), -1, np.int32)
            )
        shadow = cast(items, light) if shadows is None else shadows
        with self._context:  # another renderer's context may be the current one
            return self._drawn(triangles, view, light, samples, limit, shadow)

    def _drawn(
        self, triangles: Soup, view: View, light: Light, samples: int, limit: np.ndarray | None, shadow: ShadowMap
    ) -> Layer:
        width, height = view.width, view.height
        self._reserve(width * samples, height * samples)
        held = [
            self._texture(0, pack_materials(triangles.materials).reshape(-1, COLUMNS // 4, 4), 4),
            self._texture(1, np.where(np.isfinite(shadow.depth), shadow.depth, np.float32(1e30)), 1),
            self._texture(2, np.full((1, 1), 1e30, np.float32) if limit is None else np.minimum(limit, 1e30), 1),
        ]
        self._uniforms(view, light, samples, shadow, limit is not None)
        vertices = np.concatenate([triangles.vertices, triangles.material[:, None], triangles.item[:, None]], 1, dtype=np.float32)
        buffers = [self._context.buffer(vertices.tobytes()), self._context.buffer(triangles.faces.tobytes())]
        layout = [(buffers[0], "3f 3f 3f 1f 1f 1f 1f", "position", "normal", "coords", "cut", "open", "material", "item")]
        array = self._context.vertex_array(self._draw, layout, index_buffer=buffers[1])
        self._targets["samples"].use()
        self._context.viewport = (0, 0, width * samples, height * samples)
        self._targets["samples"].clear()
        self._context.enable(self._gl.DEPTH_TEST)
        array.render(self._gl.TRIANGLES)
        layer = self._averaged(width, height, samples)
        for thing in (array, *buffers, *held):
            thing.release()
        return layer

    def _averaged(self, width: int, height: int, samples: int) -> Layer:
        """The means over the samples of each pixel, and the middle sample's depth and id."""
        self._targets["pixels"].use()
        self._context.viewport = (0, 0, width, height)
        self._context.disable(self._gl.DEPTH_TEST)
        self._targets["light"].use(0)
        self._targets["place"].use(1)
        self._mean["light"], self._mean["place"], self._mean["samples"] = 0, 1, samples
        self._screen.render(self._gl.TRIANGLES, vertices=3)
        area = (0, 0, width, height)
        colour = self._targets["pixels"].read(area, components=4, attachment=0, dtype="f4", alignment=1)
        place = self._targets["pixels"].read(area, components=2, attachment=1, dtype="f4", alignment=1)
        colour = np.frombuffer(colour, np.float32).reshape(height, width, 4)
        place = np.frombuffer(place, np.float32).reshape(height, width, 2)
        drawn = place[..., 0] > 0
        return Layer(
            rgb=np.ascontiguousarray(colour[..., :3]),
            coverage=np.ascontiguousarray(colour[..., 3]),
            depth=np.where(drawn, place[..., 0], np.float32(np.inf)),
            ids=np.where(drawn, np.round(place[..., 1]).astype(np.int32), np.int32(-1)),
        )

    def _texture(self, unit: int, content: np.ndarray, components: int) -> Any:
        size = (content.shape[1], content.shape[0])
        texture = self._context.texture(size, components, np.ascontiguousarray(content, np.float32).tobytes(), dtype="f4")
        texture.filter = (self._gl.NEAREST, self._gl.NEAREST)
        texture.use(unit)
        return texture

    def _reserve(self, width: int, height: int) -> None:
        """Make sure that the buffers hold width x height samples; they only grow."""
        if width <= self._room[0] and height <= self._room[1]:
            return
        size = (-(-max(self._room[0], width) // _GROW) * _GROW, -(-max(self._room[1], height) // _GROW) * _GROW)
        for thing in self._targets.values():
            thing.release()
        make = self._context
        self._targets = {
            "light": make.texture(size, 4, dtype="f4"),
            "place": make.texture(size, 2, dtype="f4"),
            "depth": make.depth_renderbuffer(size),
            "mean_light": make.texture(size, 4, dtype="f4"),
            "mean_place": make.texture(size, 2, dtype="f4"),
        }
        held = self._targets
        for name in ("light", "place"):
            held[name].filter = (self._gl.NEAREST, self._gl.NEAREST)
        held["samples"] = make.framebuffer([held["light"], held["place"]], held["depth"])
        held["pixels"] = make.framebuffer([held["mean_light"], held["mean_place"]])
        self._room = size

    def _uniforms(self, view: View, light: Light, samples: int, shadow: ShadowMap, limited: bool) -> None:
        program = self._draw
        far = 2000.0
        near = view.near
        matrix = np.zeros((4, 4))
        matrix[0] = [2 * view.fx / view.width, 0, 2 * view.cx / view.width - 1, 0]
        matrix[1] = [0, 2 * view.fy / view.height, 2 * view.cy / view.height - 1, 0]
        matrix[2] = [0, 0, (far + near) / (far - near), -2 * far * near / (far - near)]
        matrix[3] = [0, 0, 1, 0]
        camera = np.eye(4)
        camera[:3, :3], camera[:3, 3] = view.rotation, view.translation
        packed = pack_light(light)
        program["to_clip"].write((matrix @ camera).T.astype("f4").tobytes())
        program["eye"] = tuple(view.eye.tolist())
        program["samples"] = samples
        program["limited"] = limited
        program["light"].write(packed.tobytes())
        program["frame"].write(shadow.frame.astype("f4").tobytes())
        program["taps"] = shadow.taps
        program["materials"], program["shadow"], program["limit"] = 0, 1, 2

    def close(self) -> None:
        """Give back the context."""
        self._context.release()
