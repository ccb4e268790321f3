"""The hazmat floor: each file one primitive, verification raises, randomness is an argument."""
