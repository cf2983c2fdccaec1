"""Telling who sits on a port that a part wants, before the part fails with a message of its own."""

import socket
from dataclasses import dataclass

import psutil

from devstack.errors import PortTaken
from devstack.health import HOST
from devstack.part import Part, Port


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that listens."""

    pid: int
    name: str


def require_free(part: Part) -> None:
    """Raise PortTaken when somebody listens on one of the part's ports."""
    for port in part.ports:
        if is_taken(port.number):
            raise PortTaken(taken_message(part.name, port, holder_of(port.number)))


def taken_message(part: str, port: Port, holder: Holder | None) -> str:
    """One line: which port, who holds it as far as we may know, what to do."""
    if holder is None:
        return (
            f"port {port.number}, which {part} needs, is taken by a process of another user or a container: "
            f"stop it, or choose another port with {port.variable}"
        )
    return (
        f"port {port.number}, which {part} needs, is taken by {holder.name} (pid {holder.pid}): "
        f"stop it (kill {holder.pid}), or choose another port with {port.variable}"
    )


def is_taken(number: int) -> bool:
    """Whether somebody answers there, or a server could not listen there now.

    Connections that are closing do not count.
    """
    # Two sockets: one that is bound to a port and connects to that port meets itself.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
        if caller.connect_ex((HOST, number)) == 0:
            return True
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, number))
        except OSError:
            return True
    return False


def holder_of(number: int) -> Holder | None:
    """The listening process, None when the operating system does not tell."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if (
            connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port == number
            and connection.pid
        ):
            try:
                return Holder(connection.pid, psutil.Process(connection.pid).name())
            except psutil.Error:
                return None
    return None
