"""What one training step does: networks that learn, optimisers, processes, and how slices reach them."""
