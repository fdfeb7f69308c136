"""The specs of docs/examples, each played against a simulator of its API's shape."""
