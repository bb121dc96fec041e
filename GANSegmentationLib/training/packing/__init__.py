"""From a finished run to a model package and its release."""
