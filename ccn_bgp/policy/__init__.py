"""Route policies: files in (load.py), accept or a reason out (evaluate.py, pure)."""
