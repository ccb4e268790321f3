"""Sessions take frames and give events; the caller owns the network, the clock and the threads."""

from secagg.session.client import ClientSession
from secagg.session.federation import Federation
from secagg.session.result import Aggregate
from secagg.session.server import ServerSession
from secagg.session.settings import SessionSettings, UpdateEncoding
from secagg.session.update import Model
from secagg.wire import session_of

__all__ = [
    "Aggregate",
    "ClientSession",
    "Federation",
    "Model",
    "ServerSession",
    "SessionSettings",
    "UpdateEncoding",
    "session_of",
]
