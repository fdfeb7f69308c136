"""The consent of a person: authorization code with PKCE, device code, and the listener that receives the browser."""
