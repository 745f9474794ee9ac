{"algorithm": "ed25519", "key_id": "5411fd4bc280243a", "signature": "AScyy6Rs9J+pcZU5mosqNCy9kKgIkivptoyktR7/caSabzF6Xuz63LMbwlL6nDPDQNsyXjkuPoCRiIvk3N8KBA=="}
