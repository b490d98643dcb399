"""The shaders: the formulas of `kernels`, line for line, in GLSL 3.3."""

__all__ = ["DRAW_FRAGMENT", "DRAW_VERTEX", "MEAN_FRAGMENT", "MEAN_VERTEX"]

DRAW_VERTEX = """
#version 330
in vec3 position; in vec3 normal; in vec3 coords; in float cut; in float open; in float material; in float item;
uniform mat4 to_clip;
out vec3 world; out vec3 outward; out vec3 rest; out float edge; out float seen; flat out int row; flat out float owner;
void main() {
    gl_Position = to_clip * vec4(position, 1.0);
    world = position; outward = normal; rest = coords; edge = cut; seen = open;
    row = int(material + 0.5); owner = item;
}
"""

_NOISE = """
float hash(ivec3 p) {
    uint h = uint(p.x) * 0x8DA6B343u ^ uint(p.y) * 0xD8163841u ^ uint(p.z) * 0xCB1AB31Fu;
    h = (h ^ (h >> 13)) * 0x5BD1E995u;
    h = h ^ (h >> 15);
    return float(h >> 8) * (1.0 / 16777216.0);
}
float noise(vec3 p) {
    vec3 cell = floor(p), t = p - cell; ivec3 i = ivec3(cell);
    t = t * t * (3.0 - 2.0 * t);
    float low = mix(mix(hash(i), hash(i + ivec3(1, 0, 0)), t.x),
                    mix(hash(i + ivec3(0, 1, 0)), hash(i + ivec3(1, 1, 0)), t.x), t.y);
    float high = mix(mix(hash(i + ivec3(0, 0, 1)), hash(i + ivec3(1, 0, 1)), t.x),
                     mix(hash(i + ivec3(0, 1, 1)), hash(i + ivec3(1, 1, 1)), t.x), t.y);
    return mix(low, high, t.z);
}
vec4 folds(vec3 p) {
    p *= vec3(20.0, 20.0, 12.0);
    vec3 cell = floor(p), u = p - cell; ivec3 i = ivec3(cell);
    vec3 s = u * u * (3.0 - 2.0 * u), d = 6.0 * u * (1.0 - u);
    float a = hash(i), b = hash(i + ivec3(1, 0, 0)), c = hash(i + ivec3(0, 1, 0)), e = hash(i + ivec3(1, 1, 0));
    float f = hash(i + ivec3(0, 0, 1)), g = hash(i + ivec3(1, 0, 1)), h = hash(i + ivec3(0, 1, 1)), k = hash(i + ivec3(1, 1, 1));
    float ab = mix(a, b, s.x), ce = mix(c, e, s.x), fg = mix(f, g, s.x), hk = mix(h, k, s.x);
    float low = mix(ab, ce, s.y), high = mix(fg, hk, s.y);
    return vec4(mix(low, high, s.z),
                d.x * mix(mix(b - a, e - c, s.y), mix(g - f, k - h, s.y), s.z),
                d.y * mix(ce - ab, hk - fg, s.z),
                d.z * (high - low));
}
float band(float x, float half_width, float soft) { return 1.0 - smoothstep(half_width, half_width + soft, abs(x)); }
float wave(float x, float cover) {
    float t = fract(x);
    return smoothstep(0.0, 0.06, t) * (1.0 - smoothstep(cover, cover + 0.06, t));
}
"""

_SURFACE = """
vec4 entry(int k) { return texelFetch(materials, ivec2(k, row), 0); }
float figure(int kind, float scale, float place, float cover, vec3 p) {
    float around = atan(p.x, -p.y) * 0.16;
    if (kind == 1) return wave(p.z / scale + place, cover);
    if (kind == 2) return wave(around / scale + place, cover);
    if (kind == 3) return 0.5 * wave(p.z / scale + place, cover) + 0.5 * wave(around / scale, cover);
    if (kind == 4) return smoothstep(cover - 0.06, cover + 0.06, noise(vec3(p.x / scale + place, p.yz / scale)));
    if (kind == 5) {
        vec2 q = vec2(p.x, p.z - place) / scale;
        float inside = band(q.x, 1.0, 0.05) * band(q.y, 0.7, 0.05) * smoothstep(0.0, 0.02, -p.y);
        return inside * smoothstep(0.3, 0.5, hash(ivec3(int(floor(q.x * 3.0)), int(floor(q.y * 4.0)), int(cover * 97.3))));
    }
    if (kind == 6) {
        float below = smoothstep(-0.004, 0.004, place - p.z);
        return cover > 0.5 ? below : 1.0 - below;
    }
    if (kind == 7) return band(p.x, scale + 0.3 * max(p.z - place, 0.0), 0.006) * smoothstep(0.0, 0.01, -p.y);
    if (kind == 8) {
        float worn = noise(vec3(p.x * 9.0 + place, p.y * 9.0, p.z * 3.5)) * 0.7 + noise(p * vec3(90.0, 90.0, 12.0)) * 0.3;
        return cover * smoothstep(0.3, 0.8, worn);
    }
    if (kind == 9) { ivec3 i = ivec3(floor(p / scale)); return float((i.x + i.y + i.z) & 1); }
    if (kind == 10) return noise(vec3(p.xy / scale, p.z / scale * 0.08 + place));
    if (kind == 11) {
        vec2 q = fract(vec2(around, p.z) / scale) - 0.5;
        return band(length(q), 0.5 * cover, 0.1);
    }
    if (kind == 12) return wave(p.z / scale + abs(fract(around / scale) - 0.5) + place, cover);
    if (kind == 13) return smoothstep(place, place + 0.008, abs(p.x));
    return 0.0;
}
vec2 face(float hair, vec3 p) {
    float front = smoothstep(0.0, 0.02, 0.035 - p.y), side = abs(p.x);
    float brow = band(side - 0.032, 0.014, 0.006) * band(p.z - 0.019 + 6.0 * (side - 0.03) * (side - 0.03), 0.003, 0.003);
    float beard = hair * smoothstep(0.0, 0.02, -p.z - 0.035) * smoothstep(0.0, 0.015, p.z + 0.135)
        * smoothstep(0.0, 0.03, 0.075 - p.y);
    beard *= 1.0 - smoothstep(0.08, 0.1, side);
    float lips = band(side, 0.020, 0.006) * band(p.z + 0.066, 0.006, 0.004);
    beard *= 1.0 - lips;
    float eye = band(side - 0.032, 0.010, 0.005) * band(p.z - 0.001, 0.004, 0.004);
    float nostril = band(side - 0.009, 0.003, 0.004) * band(p.z + 0.037, 0.002, 0.003);
    return vec2(max(front * brow, beard), 1.0 - front * max(max(0.75 * eye, 0.35 * lips), 0.4 * nostril));
}
float trim(int kind, float place, vec3 p) {
    float front = smoothstep(0.0, 0.01, -p.y);
    if (kind == 1) return band(abs(p.x) - place + 0.2 * (p.z - 1.3), 0.02, 0.004) * smoothstep(1.12, 1.13, p.z);
    if (kind == 2) return band(p.x * 0.84 - (p.z - place) * 0.54, 0.018, 0.004) * (1.0 - smoothstep(0.17, 0.18, abs(p.x)));
    if (kind == 3) return band(p.x, 0.006, 0.003) * front;
    if (kind == 4) return band(length(vec2(p.x, (fract(p.z / 0.09) - 0.5) * 0.09)), 0.007, 0.003) * front;
    if (kind == 5) return band(p.z - place, 0.022, 0.003);
    if (kind == 6) return max(band(p.z - place, 0.025, 0.003), band(p.z - place + 0.17, 0.025, 0.003));
    return 0.0;
}
"""

DRAW_FRAGMENT = (
    """
#version 330
in vec3 world; in vec3 outward; in vec3 rest; in float edge; in float seen; flat in int row; flat in float owner;
uniform sampler2D materials; uniform sampler2D shadow; uniform sampler2D limit;
uniform vec3 eye; uniform int samples; uniform bool limited; uniform float light[18]; uniform vec4 frame[3]; uniform float taps;
layout(location = 0) out vec4 colour; layout(location = 1) out vec2 place;
"""
    + _NOISE
    + _SURFACE
    + """
float reaching(vec3 p, vec3 n) {
    vec4 q = vec4(p + n * 0.02, 1.0);
    float column = dot(frame[0], q), line = dot(frame[1], q), far = dot(frame[2], q) - 0.012, arrived = 0.0;
    int size = textureSize(shadow, 0).x;
    for (int down = -1; down < 2; down++) for (int right = -1; right < 2; right++) {
        ivec2 i = ivec2(int(floor(column + float(right) * taps)), int(floor(line + float(down) * taps)));
        if (i.x < 0 || i.y < 0 || i.x >= size || i.y >= size) { arrived += 1.0; continue; }
        if (texelFetch(shadow, i, 0).r >= far) arrived += 1.0;
    }
    return arrived / 9.0;
}
void main() {
    if (edge < 0.0) discard;
    float depth = 1.0 / gl_FragCoord.w;
    if (limited && depth >= texelFetch(limit, ivec2(gl_FragCoord.xy) / samples, 0).r) discard;
    vec3 to_eye = eye - world; float distance = length(to_eye); to_eye /= distance;
    vec3 n = outward / max(length(outward), 1e-6);
    if (!gl_FrontFacing) n = -n;
    vec4 m0 = entry(0), m1 = entry(1), m2 = entry(2), m3 = entry(3), m4 = entry(4);
    vec4 fold = folds(rest);
    vec2 look = m0.w == 14.0 ? face(m3.y, rest) : vec2(figure(int(m0.w), m1.w, m3.x, m3.y, rest), 1.0);
    float over = m2.w > 0.0 ? trim(int(m2.w), m4.y, rest) : 0.0;
    float rough = 0.6 * fold.x + 0.4 * noise(rest * 130.0) - 0.5;
    vec3 albedo = mix(mix(m0.rgb, m1.rgb, look.x), m2.rgb, over) * look.y * (1.0 + m3.z * 2.0 * rough);
    float arrived = light[15] > 0.0 ? 1.0 - light[15] * (1.0 - reaching(world, n)) : 1.0;
    n = n + m4.z * fold.yzw;
    n /= max(length(n), 1e-6);
    float share = clamp(seen, 0.0, 1.0), gloss = m3.w;
    vec3 to_sun = vec3(light[0], light[1], light[2]), sun = vec3(light[3], light[4], light[5]);
    vec3 sky = vec3(light[6], light[7], light[8]), ground = vec3(light[9], light[10], light[11]);
    vec3 horizon = vec3(light[12], light[13], light[14]);
    float facing = dot(n, to_sun);
    vec3 direct = max((facing + 0.08) / 1.08, 0.0) * arrived * sun;
    vec3 around = mix(ground, sky, 0.5 + 0.5 * n.z) * share;
    vec3 middle = to_sun + to_eye;
    float shine = max(dot(n, middle) / max(length(middle), 1e-6), 0.0);
    shine = shine * shine; shine = shine * shine; shine = shine * shine;
    vec3 highlight = shine * shine * arrived * sun * max(facing, 0.0);
    float graze = 1.0 - max(dot(n, to_eye), 0.0);
    vec3 rim = graze * graze * graze * graze * horizon * share;
    vec3 value = albedo * (direct + around + m4.x) + (0.03 + gloss) * rim * 0.5 + gloss * highlight;
    float haze = 1.0 - exp(-light[17] * distance);
    colour = vec4(mix(value, horizon, haze), 1.0);
    place = vec2(depth, owner);
}
"""
)

MEAN_VERTEX = """
#version 330
void main() { gl_Position = vec4(vec2((gl_VertexID << 1) & 2, gl_VertexID & 2) * 2.0 - 1.0, 0.0, 1.0); }
"""

MEAN_FRAGMENT = """
#version 330
uniform sampler2D light; uniform sampler2D place; uniform int samples;
layout(location = 0) out vec4 colour; layout(location = 1) out vec2 middle;
void main() {
    ivec2 corner = ivec2(gl_FragCoord.xy) * samples;
    vec4 total = vec4(0.0);
    for (int i = 0; i < samples; i++) for (int j = 0; j < samples; j++) total += texelFetch(light, corner + ivec2(i, j), 0);
    colour = total / float(samples * samples);
    middle = texelFetch(place, corner + ivec2(samples / 2), 0).rg;
}
"""
