"""Several requests in flight: how many (``limit``), for whom (``places``), and which pages are asked for ahead.

``page_guesses`` chooses and checks pages that may not exist, ``prefetch`` fetches the next page while one is consumed.
"""
