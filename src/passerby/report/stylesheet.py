"""How the page looks: light and dark, on a wide screen, a phone and paper."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1d2733; --faint: #566270; --line: #d5dbe2; --page: #fff; --card: #f4f6f9; --right: #146c3e; --wrong: #b3261e;
  --link: #1d5596; --note: #fff6da; --noteline: #c79a1b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6ebf1; --faint: #a3afbd; --line: #3a4552; --page: #12171d; --card: #1b222b; --right: #5fd08f; --wrong: #ff8a7f;
    --link: #8fbef5; --note: #2d2611;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
header, main, footer { max-width: 70rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 .6rem; padding-top: .4rem; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
h3 { font-size: 1.08rem; margin: 1.6rem 0 .5rem; }
p, ul { margin: .5rem 0; max-width: 48rem; overflow-wrap: anywhere; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; list-style: none; padding: 0; }
.lead { font-size: 1.08rem; }
.faint, footer, figcaption, caption, .card small { color: var(--faint); }
.note { background: var(--note); border-left: 4px solid var(--noteline); padding: .5rem .8rem; }
.chip {
  display: inline-block; margin: 0 .4rem .6rem 0; padding: 0 .6rem; font-size: .8rem;
  border: 1px solid var(--noteline); background: var(--note); border-radius: 1rem;
}
.wide { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: .88rem; padding-bottom: .3rem; }
caption > span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 2rem); }
td > small { display: block; color: var(--faint); font-size: .8rem; }
th, td { padding: .28rem .8rem .28rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, .words th, .words td { text-align: left; }
.words td { white-space: normal; }
tbody th { font-weight: 600; }
figure { margin: 1rem 0; overflow-x: auto; }
figure > img {
  max-width: 100%; height: auto; padding: 6px;
  background: #fff; border: 1px solid var(--line); border-radius: 6px;
}
figcaption { font-size: .88rem; max-width: 48rem; }
.row {
  display: flex; flex-wrap: wrap; gap: .7rem .5rem; align-items: flex-start; margin: .6rem 0; padding: .7rem;
  background: var(--card); border-radius: 8px;
}
.row > p { flex: 1 0 100%; max-width: none; margin: 0; }
.card {
  display: flex; flex-direction: column; align-items: center; width: 5.2rem;
  font-size: .8rem; line-height: 1.3; text-align: center;
}
.card img { border: 3px solid var(--ink); border-radius: 3px; max-width: 100%; height: auto; }
.right img { border-color: var(--right); }
.right b { color: var(--right); }
.wrong img { border: 3px dashed var(--wrong); }
.wrong b { color: var(--wrong); }
pre { background: var(--card); padding: .7rem; border-radius: 6px; overflow-x: auto; font-size: .86rem; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--link); }
footer { border-top: 1px solid var(--line); margin-top: 2.5rem; padding: 1rem; font-size: .88rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
@media (max-width: 40rem) {
  body { font-size: 15px; }
  h1 { font-size: 1.4rem; }
  th, td { padding-right: .55rem; }
  .card { width: 4.7rem; font-size: .74rem; }
  figure > img.broad { max-width: none; width: 44rem; }
}
@media print {
  .wide, figure { overflow: visible; }
}
"""
