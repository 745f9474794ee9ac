"""Storage: the tables and every SQL statement of the service. One function, one transaction."""
