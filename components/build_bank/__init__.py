"""Step: embed labelled faces that nobody generated, for the face realism loss."""
