"""Makes pages that a person reads: one file each, light and dark, from a phone to a wide screen.

An application brings templates of its own that extend `base.html`, and fills them by `kit.render`.
Needs the extra `pages`.
"""
