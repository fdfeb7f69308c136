"""Our protocol code compared with three others that share no code with it: Authlib, oauthlib and requests-oauth2client.

For the same inputs all must say the same. Where one of them does not, the test names the paragraph of the RFC that decides.
"""
