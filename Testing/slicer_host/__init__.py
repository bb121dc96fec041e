"""A test host for the Slicer module: real MRML of slicer-core, and as much of the application as the module needs."""
