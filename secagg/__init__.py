"""Secure aggregation for federated learning.

The orchestrator learns the FedAvg mean over an agreed set of gateways, and nothing else about any
of them. `SecureAverage` wraps a loop that exists; `ClientSession` and `ServerSession` run on a
network of your own; `secagg.protocol` and `secagg.schemes` are the machines underneath.
"""

from secagg.average import Plan, Report, Result, SecureAverage, Suggestion, suggest
from secagg.protocol.audit_file import dump_roster, load_roster
from secagg.protocol.bounds import Bounds
from secagg.protocol.events import (
    Aborted,
    Completed,
    Event,
    GatewayDropped,
    Ignored,
    Imprecise,
    PhaseClosed,
    Send,
    SharesDisputed,
    UpdateDue,
)
from secagg.protocol.identity import Identity, Member, Roster
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.policy import Policy
from secagg.protocol.sqlite_journal import SQLiteJournal
from secagg.schemes.additive import Ckks, Lattice
from secagg.schemes.masks import Masks
from secagg.session import (
    ClientSession,
    Federation,
    Model,
    ServerSession,
    SessionSettings,
    session_of,
)
from secagg.workers import Workers

__version__ = "0.1.0"

__all__ = [
    "Aborted",
    "Bounds",
    "Ckks",
    "ClientSession",
    "Completed",
    "Event",
    "Federation",
    "GatewayDropped",
    "Identity",
    "Ignored",
    "Imprecise",
    "Lattice",
    "Masks",
    "Member",
    "MemoryJournal",
    "Model",
    "PhaseClosed",
    "Plan",
    "Policy",
    "Report",
    "Result",
    "Roster",
    "SQLiteJournal",
    "SecureAverage",
    "Send",
    "ServerSession",
    "SessionSettings",
    "SharesDisputed",
    "Suggestion",
    "UpdateDue",
    "Workers",
    "dump_roster",
    "load_roster",
    "session_of",
    "suggest",
]
