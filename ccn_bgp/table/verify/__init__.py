"""table/verify"""
