"""What is seen of a run while it goes: validation scores, health, curves, pictures, the report."""
