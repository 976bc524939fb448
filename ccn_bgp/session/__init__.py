"""BGP sessions: ExaBGP as a child process, and every message judged and written here.

In: the peers of a gateway (model/ccsi.py). Out: sessions up and down and Updates (speaker.py,
decode.py); whole messages for the peers (encode.py). Only launcher.py, which is run as a program of
its own, imports exabgp.
"""
