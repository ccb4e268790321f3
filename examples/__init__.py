"""Short scripts to read and to start from; `python -m examples.NAME` runs one."""
