"""`python -m devstack up` is `autoloader dev up`."""

from devstack.cli import main

main()
