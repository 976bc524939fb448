"""Topology files: YAML in, the frozen Topology of model/topology.py or its problems out."""
