{"algorithm": "ed25519", "key_id": "95b83505954b3c12", "signature": "r6e692nofYcEvVZ5IBQvbQhSVgSGqwLbUHFjuO/YN2uF7//H8wGs1lElFifbCH3Ht5SRahbY0hx3k+Yq6ALwBw=="}
