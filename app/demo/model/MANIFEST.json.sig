{"algorithm": "ed25519", "key_id": "19bb4f2a7d4d606d", "signature": "yS96vuwNOXvLpEl9A2jUmB1kH5s4hHYyP2s6YUenPwpOMIxEWjGMK0IiBhD0Evm3fiCsDJaRv+1KT1GBoZHTBw=="}
