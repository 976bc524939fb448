"""Learning: Paths in, Routes and announcements out. rib.py holds the one mutable learned state."""
