"""The customary CKKS, one secret key at every gateway: for comparison, not for use.

It does not run in sessions (docs/adr/0013-shared-key-outside-sessions.md).
"""

from secagg.schemes.shared_key.scheme import (
    EncryptedSum,
    InsecureSchemeWarning,
    InsecureSharedKey,
)

__all__ = ["EncryptedSum", "InsecureSchemeWarning", "InsecureSharedKey"]
