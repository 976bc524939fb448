"""The daemon: the only room that sees every other. daemon.py is where to begin.

    intent.py    a topology file, its policies, checked            → Intent
    fixed.py     the rows that the intent alone decides            → interfaces, VNIs, VTEPs
    sessions.py  ExaBGP processes, decoders, restarts (peer.py: one) → Rib
    telling.py   Rib → what each group of sessions is told (out_feed.py: in columns)
    guard.py     settle, build, verify, quarantine, again          → Snapshot
    commit.py    Snapshot → Plan → transaction                     → link.py: the forwarder
    history.py   a certificate for each commit
    views.py     state as JSON for show; explain.py for explain
    declared.py  the tables of a topology without any peer;  replay.py: packets through them
    daemon.py    one asyncio loop that joins them

In: files and sessions. Out: rows in the forwarder and UPDATEs to peers.
"""
