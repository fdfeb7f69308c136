"""New and edited connections before they are stored: which keys a provider's connection has, and what is typed into them."""
