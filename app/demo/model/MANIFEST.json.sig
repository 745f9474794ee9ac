{"algorithm": "ed25519", "key_id": "72738ab77934da78", "signature": "PasUcyomlgBMQlkxOBD9dj0fwWAuBQitDKsG//AwSA9RPcKvVKcWa0z2iNxq+AJxeb327UwBJhqcRaHvegSxDQ=="}
