"""Adapters teach the library the arrays of a framework; no other file knows one."""
