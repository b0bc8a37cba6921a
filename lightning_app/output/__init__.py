"""What a run shows and writes for people: progress, summary, TensorBoard, tables."""
