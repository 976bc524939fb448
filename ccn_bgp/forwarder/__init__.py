"""The forwarder as seen from Python: its wire contract, its control socket, its process."""
