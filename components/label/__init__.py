"""Label images by keyboard."""
