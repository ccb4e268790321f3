"""Has what every scheme shares: identities, transcript, sharing, machines, journal, policy."""
