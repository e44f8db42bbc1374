"""The history of the casework schema, kept by Alembic."""
