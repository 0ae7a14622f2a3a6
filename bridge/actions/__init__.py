"""What a failover may do.

The contract of an entry: `act(settings, call, outbound) -> ActionResult`. `unknown` means no answer told
what became of it; the caller then reads the state back and never simply calls again.
"""
