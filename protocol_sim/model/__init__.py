"""What a round costs at sizes at which none can run: bytes by formula, seconds by counted work.

`traffic` counts bytes, `counts` operations; `units` measures single operations here; `costs` fits,
compares and extrapolates; `papers` and `expansion` hold the literature's figures against ours.
"""
