"""Tables as values: snapshot, verification, difference. In: Routes. Out: Findings and Plans."""
