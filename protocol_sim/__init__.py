"""A deterministic world of vanishing, slow and hostile parties around the real sessions.

Everything follows from a seed: what the parties draw, what the network does, who vanishes and who
lies. A run that fails names the command that plays it again.
"""
