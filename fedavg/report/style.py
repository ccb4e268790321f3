"""Colours and layout of the pages: light and dark, from a phone to a wide screen."""

from __future__ import annotations

from typing import Final

INK: Final = "#00000a"
MUTED: Final = "#00000b"
GRID: Final = "#00000c"
PAPER: Final = "#00000d"
SERIES: Final = tuple(f"#0000{number:02x}" for number in range(0x10, 0x18))
"""Matplotlib draws in these stand-ins; the page's stylesheet decides what they look like."""

VARIABLES: Final = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    PAPER: "var(--card)",
    **{stand_in: f"var(--series-{number})" for number, stand_in in enumerate(SERIES)},
}

# Okabe and Ito's palette, which colour-blind readers tell apart; on dark ground a little lighter.
# Source: Okabe, Ito, Color Universal Design (2008).
_LIGHT: Final = (
    "--series-0:#0072b2; --series-1:#d55e00; --series-2:#009e73; --series-3:#b3629b;"
    " --series-4:#b07c00; --series-5:#2f93cf; --series-6:#6a6a6a; --series-7:#8c3b00;"
)
_DARK: Final = (
    "--series-0:#56b4e9; --series-1:#ff8a3d; --series-2:#2fc79b; --series-3:#e39ac6;"
    " --series-4:#f0c14a; --series-5:#9ad4f5; --series-6:#b5b5b5; --series-7:#ffb98a;"
)

_RULES: Final = """
:root {
  color-scheme: light dark;
  --page:#f4f5f7; --card:#ffffff; --ink:#1b1f24; --muted:#57606a; --grid:#dfe3e8; --edge:#d5dae0;
  --good:#0b6e4f; --bad:#b42318; --code:#eef1f4; LIGHT_SERIES
}
@media (prefers-color-scheme: dark) {
  :root {
    --page:#0f1317; --card:#181d23; --ink:#e8ebee; --muted:#a3adb8; --grid:#333b44; --edge:#2c343d;
    --good:#4cc79a; --bad:#ff8b7e; --code:#232a32; DARK_SERIES
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 20px 12px 48px; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; line-height: 1.3; margin: 0 0 8px; }
h3 { font-size: 1rem; line-height: 1.3; margin: 0; }
p + h3 { margin: 16px 0 6px; }
p { margin: 0 0 10px; }
p:last-child { margin-bottom: 0; }
.lead { color: var(--muted); margin: 6px 0 18px; }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: 10px;
  padding: 14px; margin: 0 0 14px; min-width: 0; }
.tiles { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px;
  margin: 0 0 14px; padding: 0; }
.tile { background: var(--card); border: 1px solid var(--edge); border-radius: 10px;
  padding: 10px 12px; min-width: 0; }
.tile dt { color: var(--muted); font-size: .85rem; line-height: 1.3; }
.tile dd { margin: 2px 0 0; font-size: 1.55rem; line-height: 1.2; font-weight: 650;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tile dd small { display: block; font-size: .85rem; font-weight: 400; color: var(--muted); }
.good { color: var(--good); }
.bad { color: var(--bad); font-weight: 650; }
.plots { display: grid; grid-template-columns: minmax(0, 1fr); gap: 14px; margin: 0 0 14px; }
figure { margin: 0; }
.plots > .card { margin: 0; }
.plots table { font-size: .85rem; }
figure.card { padding: 14px 8px; }
figure h3, figcaption { padding: 0 6px; }
figure svg { display: block; width: 100%; height: auto; margin: 8px auto 4px; }
figcaption { color: var(--muted); font-size: .9rem; line-height: 1.4; }
.scroll { overflow-x: auto; max-width: 100%; }
.scroll:focus-visible { outline: 2px solid var(--series-0); outline-offset: 2px; }
.tall { max-height: 40rem; overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 6px 12px 6px 0;
  border-bottom: 1px solid var(--grid); }
th:last-child, td:last-child { padding-right: 0; }
thead th { position: sticky; top: 0; background: var(--card); color: var(--muted);
  font-weight: 600; font-size: .85rem; line-height: 1.25; vertical-align: bottom;
  white-space: normal; }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { font-weight: 600; }
tbody .number, tbody .nowrap { white-space: nowrap; }
.number { text-align: right; }
td.wide { min-width: 15.5rem; }
td small, th small { display: block; color: var(--muted); font-weight: 400; }
.unset { color: var(--muted); }
.value { overflow-wrap: anywhere; }
pre { background: var(--code); border-radius: 6px; padding: 10px 12px; margin: 0 0 10px;
  overflow-x: auto; font-size: .9rem; line-height: 1.45; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
  font-size: .92em; }
p code, li code { background: var(--code); border-radius: 4px; padding: 1px 4px; }
ul { margin: 0; padding-left: 1.2rem; }
li { margin: 0 0 6px; }
@media (min-width: 760px) {
  main { padding: 32px 24px 64px; }
  h1 { font-size: 2rem; }
  .card, figure.card { padding: 20px; }
  .plots, .pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; }
  .pair { align-items: start; }
  .tiles { grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 16px; margin-bottom: 16px; }
  .card { margin-bottom: 16px; }
  .pair > .card, .plots > .card { margin-bottom: 0; }
  .pair { margin-bottom: 16px; }
  figure svg { max-width: 560px; }
  .plots > :last-child:nth-child(odd) { grid-column: 1 / -1; display: grid; gap: 0 16px;
    grid-template-columns: minmax(0, 560px) minmax(0, 1fr); align-items: center; }
  .plots > :last-child:nth-child(odd) h3 { grid-column: 1 / -1; }
}
@media print { body { background: none; } .scroll, .tall { max-height: none; overflow: visible; } }
"""

CSS: Final = _RULES.replace("LIGHT_SERIES", _LIGHT).replace("DARK_SERIES", _DARK)
