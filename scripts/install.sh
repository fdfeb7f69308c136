# Sourced by the other scripts: creates .venv and installs the locked dependencies into it, once per lock.

# Containers often forbid Python to keep its bytecode. Then each process compiles every module again: 20 seconds to collect
# the tests instead of 7, and 2 more for each process of Airflow.
unset PYTHONDONTWRITEBYTECODE

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "oauth-taskflow needs Python 3.10 to 3.13 on the PATH, or its path in the variable PYTHON." >&2
    return 1
}

# uv installs in seconds what takes pip minutes; it is itself installed from the lock, by hash. Arguments are lock files.
install_locked() {
    local lock requirements=() uv_lock
    for lock in "$@"; do requirements+=(-r "$lock"); done
    uv_lock=$(mktemp)
    awk '/^uv==/ {on=1} on {print} on && !/\\$/ {exit}' requirements.lock >"$uv_lock"
    if .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$uv_lock" &&
        .venv/bin/uv pip install -q --python .venv/bin/python --require-hashes "${requirements[@]}"; then
        rm -f "$uv_lock"
        return
    fi
    rm -f "$uv_lock"
    echo "uv could not install; trying pip, which takes some minutes."
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes "${requirements[@]}"
}

# One text for all that an environment depends on: the files given, and the folder that it is in.
stamp_of() {
    (cat "$@" && pwd -P) | "${PYTHON_FOUND:-.venv/bin/python}" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

# A venv that Debian broke off half-way has no pip; one that was copied here installs and runs another checkout.
usable_environment() {
    [ "$(cat .venv/made_in 2>/dev/null || pwd -P)" = "$(pwd -P)" ] &&
        .venv/bin/python -c 'import pip, sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

# The package and what scripts/demo needs.
install_environment() {
    local python stamp
    python=$(find_python)
    stamp=$(PYTHON_FOUND=$python stamp_of requirements.lock pyproject.toml)
    if [ -x .venv/bin/python ] && [ "$(cat .venv/installed 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    echo "Installing into .venv (first time, or the lock or the folder changed) …"
    if ! usable_environment && ! "$python" -m venv --clear .venv; then
        rm -rf .venv
        echo "$python cannot create a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2
        return 1
    fi
    pwd -P >.venv/made_in
    install_locked requirements.lock || {
        echo "The locked dependencies could not be installed; is a package index within reach?" >&2
        return 1
    }
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    echo "$stamp" >.venv/installed
}

# The same environment with what formats, checks and tests the package.
install_test_environment() {
    local stamp
    install_environment
    stamp=$(stamp_of requirements.lock tests/requirements.lock pyproject.toml)
    if [ "$(cat .venv/installed-tests 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    echo "Installing the tools and libraries of the tests into .venv …"
    install_locked requirements.lock tests/requirements.lock || {
        echo "The locked dependencies of the tests could not be installed; is a package index within reach?" >&2
        return 1
    }
    echo "$stamp" >.venv/installed-tests
}

# Another environment with the package: its folder and its lock.
make_environment_beside() {
    .venv/bin/uv venv -q --clear --python .venv/bin/python "$1" &&
        .venv/bin/uv pip install -q --python "$1/bin/python" --require-hashes -r "$2" &&
        .venv/bin/uv pip install -q --python "$1/bin/python" --no-deps --no-build-isolation -e .
}

# Folders of tests whose servers are npm packages.
NPM_FOLDERS="tests/stores tests/oidc_provider"

install_npm_packages() {
    local folder
    for folder in $NPM_FOLDERS; do (cd "$folder" && npm ci --silent --omit=dev) || return 1; done
}

# Object stores, an authorization server of other people and CeleryExecutor are tested on servers of their own, in an
# environment of their own: their libraries want other releases of what Airflow needs, and the demo should not have to wait.
install_services() {
    local stamp folder locks=()
    install_environment
    for folder in $NPM_FOLDERS; do locks+=("$folder/package-lock.json"); done
    stamp=$(stamp_of tests/services.lock "${locks[@]}" pyproject.toml)
    if [ -x .venv-services/bin/python ] && [ "$(cat .venv-services/installed 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    echo "Installing into .venv-services and node_modules of $NPM_FOLDERS (first time, or a lock or the folder changed) …"
    make_environment_beside .venv-services tests/services.lock && install_npm_packages || {
        echo "The environment of scripts/test-services could not be installed; are a package index and npm within reach?" >&2
        return 1
    }
    echo "$stamp" >.venv-services/installed
}

# The oldest release of Airflow that the package supports.
install_airflow_3_2() {
    local stamp
    install_environment
    stamp=$(stamp_of tests/airflow-3.2.lock pyproject.toml)
    if [ -x .venv-airflow-3.2/bin/python ] && [ "$(cat .venv-airflow-3.2/installed 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    echo "Installing into .venv-airflow-3.2 (first time, or its lock or the folder changed) …"
    make_environment_beside .venv-airflow-3.2 tests/airflow-3.2.lock || {
        echo "Airflow 3.2 could not be installed; is a package index within reach?" >&2
        return 1
    }
    echo "$stamp" >.venv-airflow-3.2/installed
}
