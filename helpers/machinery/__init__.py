"""What no reader need open: files, downloads, processes, progress, drawing garments, Keras' start."""
