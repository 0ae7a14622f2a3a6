"""What is remembered: SQLAlchemy Core over SQLite or PostgreSQL, one schema for both."""
