"""The monthly system health report: gather facts, compute figures, draw charts, make HTML and PDF."""
