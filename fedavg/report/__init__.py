"""Writes the files of a run or of a comparison: JSON and CSV for programs, one page for people."""
