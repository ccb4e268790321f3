"""Runs FedAvg through the real protocol and plays every party of it in this process."""

from secagg.average.outcome import PhaseCost, Plan, Report, Result
from secagg.average.recipe import SecureAverage
from secagg.average.suggestion import Suggestion, suggest

__all__ = ["PhaseCost", "Plan", "Report", "Result", "SecureAverage", "Suggestion", "suggest"]
