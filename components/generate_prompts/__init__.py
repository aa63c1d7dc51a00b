"""Write the prompt catalog, checked."""
