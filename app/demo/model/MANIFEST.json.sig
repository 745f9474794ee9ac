{"algorithm": "ed25519", "key_id": "a8452aba2253829d", "signature": "+r5tCHVCyNrcB/bmhtEWX3R/votdESWRQkN84cE9kLMIQZ9X+/dqbIyPFsw4UUFpVgvjwdpCnpH4Pfb6yNhzCA=="}
