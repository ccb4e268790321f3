"""Holds every party of a recipe: identities, journals, and where their rounds stand."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache

from secagg.crypto.signing import verify as verify_signature
from secagg.guards import OneProcess
from secagg.params import GatewayId
from secagg.protocol.bounds import Bounds
from secagg.protocol.identity import Identity, Roster
from secagg.protocol.journal import Journal, MemoryJournal
from secagg.protocol.policy import Policy
from secagg.session.client import ClientSession
from secagg.session.federation import Federation
from secagg.session.server import ServerSession
from secagg.session.settings import SessionSettings
from secagg.workers import Workers


class Everybody:
    """The orchestrator and all gateways, in one process.

    Args:
        workers: threads of every party.

    Attributes:
        federation: roster, and where its rounds stand.
    """

    def __init__(self, workers: Workers) -> None:
        self._process = OneProcess("this SecureAverage")
        self._workers = workers
        self._orchestrator = Identity.generate("orchestrator", os.urandom)
        self._gateways: dict[GatewayId, tuple[Identity, Journal]] = {}
        self.federation = Federation(roster=Roster.of(0, self._orchestrator, ()))

    def enroll(self, ids: Iterable[GatewayId]) -> Roster:
        """Make identities for gateways that have none; a new roster if there are any.

        Raises:
            LocalProtocolError: in a forked process, once there are gateways: it would play their
                rounds a second time.
        """
        if self._gateways:
            self._process.check()
        new: dict[GatewayId, tuple[Identity, Journal]] = {
            name: (Identity.generate(name, os.urandom), MemoryJournal())
            for name in ids
            if name not in self._gateways
        }
        roster = self.federation.roster
        if new:
            gateways = self._gateways | new
            members = [identity for identity, _ in gateways.values()]
            roster = Roster.of(roster.epoch + 1, self._orchestrator, members)
            roster.hash()  # an id without canonical bytes must not stay in later rosters
            self._gateways, self.federation = gateways, self.federation.under(roster)
        return roster

    def sessions(
        self, settings: SessionSettings
    ) -> tuple[ServerSession, dict[GatewayId, ClientSession]]:
        """Everybody's session of one round."""
        roster = self.enroll(settings.cohort)
        # this process plays the orchestrator too: there is nothing to hide from it
        policy = Policy(
            min_colluding=1,
            bounds={settings.purpose: Bounds()},
            keep_bounds=False,
            require_model=False,
            repeat_model="allow",
        )
        verify = lru_cache(maxsize=None)(verify_signature)
        server = ServerSession(
            settings,
            roster,
            self._orchestrator,
            workers=self._workers,
            setup=self.federation.setup,
            policy=policy,
            verify=verify,
        )
        clients = {
            name: ClientSession(
                self._gateways[name][0],
                roster,
                policy,
                self._gateways[name][1],
                workers=self._workers,
                schemes=(settings.scheme,),
                verify=verify,
            )
            for name in settings.cohort
        }
        return server, clients

    def after(self, server: ServerSession) -> None:
        """Take a round as over."""
        self.federation = self.federation.after(server)
        for name in server.settings.cohort:  # nobody restarts here, so nobody will ask again
            self._gateways[name][1].forget(server.session)
