{"algorithm": "ed25519", "key_id": "446565052505bde9", "signature": "NdU2uFt+bkD5F+2uVfBDYacb6WtTvtLNHCWyfi0a/bUoWa5+fdIsjyZw30rDcstD/N8x/Xj/6w14yoH+D+LkDg=="}
