"""The only files of the library that know a framework."""
