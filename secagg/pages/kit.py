"""Fills templates: what is put in as text comes out as text."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from secagg.errors import ConfigurationError, install_hint
from secagg.pages.colours import variables
from secagg.pages.tables import Cell

try:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape
except ModuleNotFoundError as missing:
    raise ConfigurationError(f"pages need {missing.name}: {install_hint('pages')}") from None


class Tile(NamedTuple):
    """A number to see first.

    Attributes:
        what: its name.
        value: text, or a `verdict`.
        remark: below it; may be empty.
    """

    what: str
    value: Cell
    remark: str = ""


def verdict(text: Cell, *, good: bool) -> Markup:
    """Words in the colour of what they mean."""
    return Markup('<span class="{}">{}</span>').format("good" if good else "bad", text)


def unset(text: str) -> Markup:
    """What stands where nothing was given."""
    return Markup('<span class="unset">{}</span>').format(text)


def code(text: str) -> Markup:
    """What a terminal understands."""
    return Markup("<code>{}</code>").format(text)


def render(package: str, template: str, **content: object) -> bytes:
    """A whole file that needs no other; equal contents give equal bytes.

    Args:
        package: whose folder `templates` has the template; it extends `base.html`.
        template: name of the file.
        content: what the template asks for, `title` and `lead` among them.

    Raises:
        jinja2.UndefinedError: the template asks for what is not given.
    """
    return _templates(package).get_template(template).render(content).encode() + b"\n"


def _whole(text: Cell) -> Markup:
    """Text in which no number such as 5.2e-05 is broken at its hyphen."""
    found = re.sub(r"\d\S*e-\d\d", r'<span class="whole">\g<0></span>', str(escape(text)))
    return Markup(found)  # noqa: S704 - escaped above


@cache
def _templates(package: str) -> Environment:
    found = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("secagg.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["whole"] = _whole
    found.globals["colours"] = Markup(variables(":root"))  # noqa: S704 - our own constants
    return found
