"""The page "OAuth" inside Airflow's UI: a FastAPI app on the API server, and plain ES modules on the globals of Airflow's UI.

Only ``plugin`` is loaded outside the API server. ``app`` lists the routers; each subject is one module of routes and one ES
module in ``static``. ``access`` has the dependency of every route. ``docs/page.md`` is the manual.
"""
