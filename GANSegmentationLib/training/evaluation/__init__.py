"""A model package measured on prepared cases: per patient, against another, and as a reviewer."""
