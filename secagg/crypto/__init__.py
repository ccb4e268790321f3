"""Primitives, one in each file: verification raises, randomness is an argument."""
