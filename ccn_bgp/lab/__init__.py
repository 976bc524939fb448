"""A topology on one machine: namespaces, real forwarders, ExaBGP, FRR and VXLAN hosts."""
