"""Messages between the services: what a consumer promises, and the one adapter that speaks Kafka.

``ports``, ``outcome``, ``offsets`` and ``lanes`` decide and do no I/O; ``loop`` acts; ``replay`` sends dead
letters back; ``kafka`` knows the broker.
Kafka only wakes: whoever handles a message asks the database what is true.
"""
