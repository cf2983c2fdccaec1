"""What buckets tell over HTTP: it is let in, and put on the topic that buckets themselves write to."""
