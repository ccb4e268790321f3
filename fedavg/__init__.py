"""Federated averaging that reads top to bottom; `secagg` makes its one sum secure."""
