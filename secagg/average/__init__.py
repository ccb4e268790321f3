"""The recipe: FedAvg through the real protocol, every party played in this process."""

from secagg.average.outcome import Plan, Report, Result
from secagg.average.recipe import SecureAverage

__all__ = ["Plan", "Report", "Result", "SecureAverage"]
