"""Figures of the running code, each beside its peer in the same run: what ``ccn bench`` prints."""
