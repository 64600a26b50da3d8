"""What a process does when more is asked of it than it can do: rules without I/O, and the layer that applies them."""
