{"algorithm": "ed25519", "key_id": "a8452aba2253829d", "signature": "RFERXTBv/xtp5MJ69Im0vBCVVkfXycUQwy43VB+YXE0fzjpdQ11lqKB9syql/QTyLlGCqSbLK9uk6OrGW+Z1CA=="}
