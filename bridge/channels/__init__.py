"""How people are told.

The contract of an entry: `send(settings, message, outbound, now) -> Receipt`. It returns only when the
provider itself said yes; otherwise it raises DeliveryError, which says whether trying again may help.
"""
