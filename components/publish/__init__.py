"""Write the bundle that stock diffusers loads."""
