"""Colours and layout of pages and pictures: light and dark, from a phone to a wide screen."""

from __future__ import annotations

from typing import Final

# Blue, orange and green of Okabe and Ito's palette, which colour-blind readers tell apart; on dark
# ground a little lighter. Source: Okabe, Ito, Color Universal Design (2008).
LIGHT: Final = {
    "page": "#f4f5f7",
    "card": "#ffffff",
    "ink": "#1b1f24",
    "muted": "#57606a",
    "grid": "#dfe3e8",
    "band": "#f1f3f6",
    "blue": "#0072b2",
    "orange": "#b84a00",
    "green": "#007a58",
    "red": "#b42318",
    "pale-blue": "#d9eaf5",
    "pale-green": "#d5efe5",
    "pale-red": "#fbd5d1",
}
DARK: Final = {
    "page": "#0f1317",
    "card": "#181d23",
    "ink": "#e8ebee",
    "muted": "#a3adb8",
    "grid": "#333b44",
    "band": "#1f252c",
    "blue": "#56b4e9",
    "orange": "#ff8a3d",
    "green": "#2fc79b",
    "red": "#ff8b7e",
    "pale-blue": "#17354a",
    "pale-green": "#123f33",
    "pale-red": "#5a1f1a",
}
STAND_INS: Final = {name: f"#0000{10 + place:02x}" for place, name in enumerate(LIGHT)}
"""Matplotlib draws in these; the stylesheet decides what they look like."""

INK, MUTED, GRID, BAND, PAPER = (
    STAND_INS[name] for name in ("ink", "muted", "grid", "band", "card")
)
BLUE, ORANGE, GREEN, RED = (STAND_INS[name] for name in ("blue", "orange", "green", "red"))
PALE_BLUE, PALE_GREEN, PALE_RED = (
    STAND_INS[name] for name in ("pale-blue", "pale-green", "pale-red")
)


def variables(selector: str) -> str:
    """The colours as rules of a stylesheet.

    Args:
        selector: what carries them.
    """
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in palette.items())
        for palette in (LIGHT, DARK)
    )
    return f"{selector}{{{light}}}\n@media (prefers-color-scheme: dark){{{selector}{{{dark}}}}}"


_RULES: Final = """
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 1340px; margin: 0 auto; padding: 20px 12px 48px; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; line-height: 1.3; margin: 0 0 8px; }
h3 { font-size: 1rem; line-height: 1.3; margin: 14px 0 6px; }
p { margin: 0 0 10px; }
ul { margin: 0 0 10px; padding-left: 1.2rem; }
p:last-child { margin-bottom: 0; }
.lead { color: var(--muted); margin: 6px 0 18px; }
.card { background: var(--card); border: 1px solid var(--grid); border-radius: 10px;
  padding: 14px; margin: 0 0 16px; min-width: 0; }
.tiles { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px;
  margin: 0 0 16px; padding: 0; }
.tile { background: var(--card); border: 1px solid var(--grid); border-radius: 10px;
  padding: 10px 12px; min-width: 0; }
.tile dt { color: var(--muted); font-size: .85rem; line-height: 1.3; }
.tile dd { margin: 2px 0 0; font-size: 1.4rem; line-height: 1.2; font-weight: 650;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tile dd small { display: block; font-size: .85rem; font-weight: 400; color: var(--muted); }
.good { color: var(--green); }
.bad { color: var(--red); font-weight: 650; }
.pair { display: grid; grid-template-columns: minmax(0, 1fr); gap: 16px; margin: 0 0 16px; }
.pair > .card { margin: 0; }
figure { margin: 0 0 16px; }
figcaption { color: var(--muted); font-size: .9rem; line-height: 1.4; margin-top: 6px; }
figure svg { display: block; width: 100%; height: auto; }
.scroll > svg { max-width: 560px; margin: 0 auto; }
.wide > svg { min-width: 1100px; max-width: none; }
.scroll { overflow-x: auto; max-width: 100%; }
.scroll + .scroll, .scroll + p { margin-top: 14px; }
.scroll:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 6px 14px 6px 0;
  border-bottom: 1px solid var(--grid); }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 600; font-size: .85rem; vertical-align: bottom; }
tbody tr:last-child > * { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
.value { overflow-wrap: anywhere; }
pre { background: var(--band); border-radius: 6px; padding: 10px 12px; margin: 0 0 10px;
  overflow-x: auto; font-size: .9rem; line-height: 1.45; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
  font-size: .92em; }
@media (min-width: 760px) {
  main { padding: 32px 24px 64px; }
  h1 { font-size: 2rem; }
  .card { padding: 20px; }
  .tiles { grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 16px; }
  .pair { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .pair > :last-child:nth-child(odd) { grid-column: 1 / -1; }
}
@media print { body { background: none; } .scroll { overflow: visible; } }
"""

CSS: Final = variables(":root") + _RULES
