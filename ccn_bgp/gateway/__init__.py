"""The daemon: the only room that sees every other. daemon.py is where to begin.

intent.py    a topology file, its policies, checked            → Intent
fixed.py     the rows that the intent alone decides            → interfaces, VNIs, VTEPs
sessions.py  ExaBGP processes, decoders, Adj-RIB-Outs, restart → Rib
guard.py     settle, build, verify, quarantine, again          → Snapshot
commit.py    Snapshot → Plan → transaction                     → forwarder
views.py     state as JSON for show and explain
daemon.py    one asyncio loop that joins them
"""
