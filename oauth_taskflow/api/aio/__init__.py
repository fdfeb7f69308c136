"""The async session: ``OAuthSession`` for ``async`` code, on ``httpx``.

``views`` shows what ``httpx`` sends and receives as objects of ``requests``. Credentials, response rules, retries and
errors therefore decide once, in ``oauth_taskflow.api``, and this package only awaits what they decide.
"""
