"""Defines the colours of pages and pictures, each on light ground and on dark."""

from __future__ import annotations

from typing import Final

# Okabe and Ito's palette, which colour-blind readers tell apart; a little lighter on dark ground,
# and darker on light ground where it is read. Source: Okabe, Ito, Color Universal Design (2008).
PALETTE: Final = {
    "page": ("#f4f5f7", "#0f1317"),
    "card": ("#ffffff", "#181d23"),
    "ink": ("#1b1f24", "#e8ebee"),
    "muted": ("#57606a", "#a3adb8"),
    "grid": ("#dfe3e8", "#333b44"),
    "band": ("#f1f3f6", "#1f252c"),
    "red": ("#b42318", "#ff8b7e"),
    "pale-blue": ("#d9eaf5", "#17354a"),
    "pale-green": ("#d5efe5", "#123f33"),
    "pale-red": ("#fbd5d1", "#5a1f1a"),
    "blue": ("#0072b2", "#56b4e9"),
    "orange": ("#b84a00", "#ff8a3d"),
    "green": ("#007a58", "#2fc79b"),
    "purple": ("#b3629b", "#e39ac6"),
    "yellow": ("#b07c00", "#f0c14a"),
    "sky": ("#2f93cf", "#9ad4f5"),
    "grey": ("#6a6a6a", "#b5b5b5"),
    "brown": ("#8c3b00", "#ffb98a"),
}
"""Name -> (on light ground, on dark ground)."""

STAND_INS: Final = {name: f"#0000{place:02x}" for place, name in enumerate(PALETTE, start=16)}
"""Matplotlib draws in these; `plots.plot` puts the variable of the style sheet in their place."""

INK, MUTED, GRID, BAND, PAPER = (
    STAND_INS[name] for name in ("ink", "muted", "grid", "band", "card")
)
SERIES: Final = tuple(
    STAND_INS[name]
    for name in ("blue", "orange", "green", "purple", "yellow", "sky", "grey", "brown")
)
"""Colours of lines and bars that stand beside one another."""
BLUE, ORANGE, GREEN, RED = (STAND_INS[name] for name in ("blue", "orange", "green", "red"))


def variables(selector: str) -> str:
    """The colours as rules of a style sheet, for what the selector names."""
    light, dark = (
        "".join(f"--{name}:{pair[ground]};" for name, pair in PALETTE.items()) for ground in (0, 1)
    )
    return f"{selector}{{{light}}}\n@media (prefers-color-scheme: dark){{{selector}{{{dark}}}}}"
