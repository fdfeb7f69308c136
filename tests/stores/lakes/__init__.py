"""Tables of lakes on servers of object stores."""
