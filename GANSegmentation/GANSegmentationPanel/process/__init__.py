"""The background process that computes: started, spoken to, watched, and ended with its children."""
