{"algorithm": "ed25519", "key_id": "a8452aba2253829d", "signature": "xR8sJGMOTvr4CEQdxxxzR3uqtuxfup1HxRPYrobVNdtAaRAqooGBBwJfv3oUGsCQThd/VFRhy0VTUWnEzpgxCQ=="}
