-- The database of the Iceberg catalogs, beside the one that the image makes for the services.
CREATE DATABASE iceberg_catalog;
