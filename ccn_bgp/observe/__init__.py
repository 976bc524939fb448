"""Seeing inside: the API of a running gateway and how its answers are drawn."""
