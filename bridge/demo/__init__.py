"""A payment gateway to break, and a real Prometheus and Alertmanager to notice it."""
