"""Leak oracle: which sums a lying server can compute, decided by linear algebra.

`masks` and `additive` are the rules of the two protocols as systems of equations; `strategies`
enumerates what a server may show; `gateways` asks the real clients instead of the rules;
`knowledge` reads everything a server has received in real sessions, whatever made the frames.
"""
