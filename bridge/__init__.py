"""opsbridge: from an alert to a ticket that somebody acts on in time."""
