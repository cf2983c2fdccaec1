"""Having buckets tell of their objects: `autoloader notifications`."""
