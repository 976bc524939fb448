"""What is shown of the VMs of this region. In: the VM table and who claims its rows. Out: JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from ccn_bgp.gateway.running import Running
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.region_vms import RegionVms
from ccn_bgp.learn.vm_rows import Address
from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.vm_table import VmTable


def vms_json(gateway: Running, ccn: str | None) -> list[dict[str, Any]]:
    """The rows that are in force, of one CCN or of all; of those that hosts speak of also who says
    it, and how often they have moved."""
    region, rows = gateway.rib.vms, []
    table = gateway.proved.snapshot.vm_table
    if ccn is not None:  # a million rows take seconds
        vnis = [vni for vni, (ccsi, _) in gateway.rib.vpcs.items() if ccsi.ccn == ccn]
        of_ccn = np.isin(table.rows["vni"], np.array(vnis, np.uint32))
        table = VmTable(table.rows[of_ccn], table.sets)
    for vni, ip, mac, vtep, others in table:
        row: dict[str, Any] = {"vni": vni, "ip": str(ip), "mac": str(mac), "host": str(vtep)}
        if others:
            row["also-on"] = [str(host) for host in others]
        holder = region.spoken_of.get((vni, ip))
        if holder is not None:
            row["said-by"] = holder.who
            row["sequence"] = holder.sequence
            row["claims"] = len(region.claims((vni, ip)))
        if state := state_of(region, (vni, ip)):
            row["state"] = state
        rows.append(row)
    return rows


def state_of(region: RegionVms, address: Address) -> str:
    """``sticky``, or ``frozen`` and for how long; empty for a VM that may move."""
    frozen = region.frozen.get(address)
    if frozen is None:
        holder = region.spoken_of.get(address)
        return "sticky" if holder is not None and holder.sticky else ""
    if frozen.until is None or region.clock is None:
        return "frozen until released"
    return f"frozen for {max(frozen.until - region.clock(), 0):.0f} s"


def claims_json(gateway: Running, table: LocRib, ip: Ip) -> list[dict[str, Any]]:
    """Everything that is said of the VMs of one CCN of this region at an address."""
    region, found = gateway.rib.vms, []
    for vpc in table.ccsi.vpcs:
        for place, (claim, reason) in enumerate(region.claims((vpc.vni, ip))):
            result = "chosen" if reason is None else str(reason)
            if reason is None and place:
                result = "multipath: as good as the chosen one through step 3"
            row: dict[str, Any] = {
                "vni": vpc.vni,
                "ip": str(ip),
                "mac": str(claim.mac),
                "host": ", ".join(str(host) for host in claim.hosts),
                "said-by": claim.who,
                "sequence": claim.sequence,
                "result": result,
            }
            if reason is None and (state := state_of(region, (vpc.vni, ip))):
                row["state"] = state
            found.append(row)
    return found
