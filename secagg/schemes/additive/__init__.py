"""The additive schemes: one protocol over several rings (docs/protocol.md#additive).

A gateway encrypts its update under a key of its own for this round, c = a s + e + Delta x, and
deals shares of the key s to a committee. Ciphertexts, keys and shares add up alike, so the
committee opens the sum of the keys over one set, and with it the sum of the updates: whatever
vanished, one key is reconstructed and one product removed.
"""

from secagg.schemes.additive.scheme import Ckks, Lattice

__all__ = ["Ckks", "Lattice"]
