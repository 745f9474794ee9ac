{"algorithm": "ed25519", "key_id": "ea1f6e8e4fdd61ac", "signature": "dNGNAoDIZH48n2NJmYYzDZtcmfZ/VspdYVCGPph3rVa8aHD+fldasahYWUmRBAtKgSmvb3xGX+RVF2FzoePJAw=="}
