"""The command line: one small file per command; main.py maps errors to exit codes, once."""
