"""Does what every scheme needs: identities, transcript, sharing, machines, journal, policy."""
