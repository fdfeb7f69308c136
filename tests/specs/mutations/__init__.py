"""Makes wrong specs of good ones: each with one mistake that changes what the spec means."""
