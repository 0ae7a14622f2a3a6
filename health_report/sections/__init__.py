"""The report's sections, an open family: one file a dimension, with its template and its queries."""
